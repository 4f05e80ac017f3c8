"""Tokens over their life: made by the command, known while the service runs, taken away, kept when the file breaks."""

from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from services.cli.errors import InputError
from services.cli.main import app
from services.cli.token import Right
from services.prediction.servicer import POLICY as PREDICTION
from services.training.servicer import POLICY as TRAINING
from tests.integration.security.hosts import LOAD, METADATA, Code, TokensFile, asked, hosting
from tests.waiting import eventually_async


def made(*arguments: str) -> tuple[str, str]:
    """What the command says on standard output and standard error."""
    result = CliRunner().invoke(app, ["token", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_command_shows_the_token_and_its_line() -> None:
    shown, told = made("infer")
    again, _ = made("infer")
    assert shown != again
    assert len(shown.split()) == 1
    assert shown.strip() not in told
    assert told.startswith("add to the tokens file of the service:\n  infer sha256:")


def test_the_command_adds_the_line_to_a_file(tokens: TokensFile) -> None:
    tokens.path.write_text("# people\nadmin old")  # without a newline at its end
    before = tokens.path.stat().st_ino
    shown, told = made("infer", "--file", str(tokens.path))
    assert tokens.lines == ["# people", "admin old", told.splitlines()[1].strip()]
    assert shown.strip() not in tokens.path.read_text()
    assert tokens.path.stat().st_ino == before  # what a container sees


def test_a_new_file_is_its_owners_alone(tokens: TokensFile) -> None:
    made("submit", "--file", str(tokens.path))
    assert tokens.path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--file: expected a text file that you may write to, came '.*none/tokens'"):
        made("read", "--file", str(tmp_path / "none" / "tokens"))


def test_the_command_knows_the_rights_of_both_services() -> None:
    assert get_args(Right) == (*PREDICTION.rights, *TRAINING.rights)


def test_a_right_that_is_none_is_refused() -> None:
    assert CliRunner().invoke(app, ["token", "root"]).exit_code == 2


async def test_a_token_comes_and_goes_while_the_service_runs(tokens: TokensFile) -> None:
    old, _ = made("admin", "--file", str(tokens.path))
    async with hosting("prediction", tokens_file=tokens.path) as address:

        async def hears(token: str, status: Code) -> bool:
            return await asked(address, method=METADATA, token=token.strip()) is status

        assert await hears(old, Code.OK)
        new, _ = made("infer", "--file", str(tokens.path))
        await eventually_async(lambda: hears(new, Code.OK))
        assert await asked(address, method=LOAD, token=new.strip()) is Code.PERMISSION_DENIED
        assert await hears(old, Code.OK)
        tokens.write(tokens.lines[1])
        await eventually_async(lambda: hears(old, Code.UNAUTHENTICATED))
        assert await hears(new, Code.OK)


async def test_a_broken_file_leaves_everybody_their_rights(
    tokens: TokensFile, caplog: pytest.LogCaptureFixture
) -> None:
    token, _ = made("admin", "--file", str(tokens.path))
    async with hosting("prediction", tokens_file=tokens.path) as address:

        async def is_told() -> bool:
            assert await asked(address, method=METADATA, token=token.strip()) is Code.OK
            return "what was read before stays in use" in caplog.text

        tokens.write("admin two words")
        await eventually_async(is_told)
        assert await asked(address, method=METADATA, token="two") is Code.UNAUTHENTICATED
