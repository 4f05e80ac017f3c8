from pathlib import Path

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from services.rpc.options import with_options_of
from services.rpc.settings import HostSettings


class Settings(HostSettings):
    wait_s: float = Field(default=2.5, gt=0, description="Seconds to wait.")
    folder: Path | None = Field(default=None, description="Where to look.")
    name: str = Field(default="x", pattern="^[a-z]+$", description="What to call it.")


seen: list[Settings] = []
app = typer.Typer()


@app.command()
@with_options_of(Settings, "SHOP")
def run(settings: Settings) -> None:
    """Run the shop."""
    seen.append(settings)


def test_defaults_are_the_settings_own() -> None:
    assert CliRunner().invoke(app).exit_code == 0
    assert seen[-1] == Settings()


def test_options_and_variables_set_fields() -> None:
    arguments = ["--wait", "0.5", "--folder", "here", "--no-reflection"]
    assert CliRunner().invoke(app, arguments, env={"SHOP_NAME": "abc", "SHOP_DRAIN_GRACE": "7"}).exit_code == 0
    expected = Settings(wait_s=0.5, folder=Path("here"), reflection=False, name="abc", drain_grace_s=7)
    assert seen[-1] == expected


def test_help_tells_what_the_fields_tell() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert "Run the shop." in result.output
    assert "Seconds to wait. More than 0." in result.output
    assert "gRPC port; 0 takes a free one. From 0 to 65535." in result.output
    assert "Largest message either way. At least 1024." in result.output
    assert "A variable sets an option too: SHOP_METRICS_PORT is --metrics-port." in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "Input should be less than or equal to 65535"),
        (["--wait", "0"], "wait_s: Input should be greater than 0, came 0.0"),
        (["--name", "X"], "name: String should match pattern"),
        (["--port", "9000", "--metrics-port", "9000"], "metrics_port: expected another port than port"),
    ],
)
def test_what_does_not_fit_exits_2_with_the_reason(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert words in result.output
