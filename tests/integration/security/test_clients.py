"""What users hold: the `drivetrain` command and the health probe, against services with TLS."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from cryptography import x509

from services.rpc.credentials import token_line
from tests.integration.cli.commands import ROOT, drivetrain, environment
from tests.integration.prediction.store import Store
from tests.integration.security.hosts import TokensFile, hosting
from tests.unit.rpc.authority import Authority
from tests.waiting import eventually_async

NAME = "shop.example.org"

Variables = Mapping[str, str]
Command = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


@pytest.fixture
def client(authority: Authority) -> dict[str, str]:
    """The variables of a client that trusts the authority, and has a certificate of it."""
    certificate, key = authority.issue("client", "nightly")
    files = {"CA": authority.file, "CERTIFICATE": certificate, "KEY": key}
    return {f"DRIVETRAIN_TLS_{name}": str(path) for name, path in files.items()}


@pytest.fixture
def settings(authority: Authority, tokens: TokensFile) -> dict[str, object]:
    """Of a service that wants certificates, and has rights for them and for tokens."""
    certificate, key = authority.issue("server")
    return {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": authority.file, "tokens_file": tokens.path}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Runs `drivetrain` while the server goes on in this process."""

    async def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            lambda: drivetrain(*arguments, home=tmp_path, cwd=tmp_path, within_s=60, **variables)
        )

    return run


async def test_predict_works_with_a_certificate_alone(
    settings: dict[str, object],
    client: dict[str, str],
    tokens: TokensFile,
    command: Command,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    Store(tmp_path, home / "mlflow.db").promote("digits")
    (tmp_path / "rows.json").write_text("[[0.25, -0.5, 1.0]]")
    tokens.write("infer cn:nightly")
    async with hosting("prediction", **settings) as address:
        ask = ("predict", "digits", "rows.json", "--output", "json", "--address", address)

        async def answers() -> bool:
            result = await command(*ask, **client)
            return result.returncode == 0 and json.loads(result.stdout)["version"] == "1"

        await eventually_async(answers)  # the model is there a moment after the server


async def test_the_job_commands_work_with_a_token_over_tls(
    settings: dict[str, object], client: dict[str, str], tokens: TokensFile, command: Command, tmp_path: Path
) -> None:
    tokens.write("read cn:nightly", token_line("submit", "alpha"))
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    async with hosting("training", **settings) as address:
        listed = await command("jobs", "--address", address, "--output", "json", **client)
        assert (listed.returncode, json.loads(listed.stdout)) == (0, [])
        upload = ("upload", "rows.csv", "--address", address)
        denied = await command(*upload, **client)
        assert (denied.returncode, "does not allow this with this client certificate" in denied.stderr) == (1, True)
        done = await command(*upload, **client, DRIVETRAIN_TOKEN="alpha")
        assert (done.returncode, done.stdout.startswith("sha256:")) == (0, True), done.stderr


WITHOUT: dict[str, tuple[Variables, str]] = {
    "plain": ({}, "closes connections: it starts, stops, or speaks TLS alone: then set DRIVETRAIN_TLS_CA"),
    "no certificate": ({"CA": "authority.pem"}, "or wants a client certificate: then set DRIVETRAIN_TLS_CERTIFICATE"),
    "another authority": ({"CA": "stranger.pem"}, "its certificate is of no authority in DRIVETRAIN_TLS_CA"),
    "a certificate of another authority": (
        {"CA": "authority.pem", "CERTIFICATE": "stray.crt", "KEY": "stray.key"},
        "or does not trust the certificate in DRIVETRAIN_TLS_CERTIFICATE",
    ),
    "another name": (
        {"CA": "authority.pem", "CERTIFICATE": "client.crt", "KEY": "client.key", "NAME": NAME},
        "its certificate is for another name; if you know which, put it into DRIVETRAIN_TLS_NAME",
    ),
}


@pytest.mark.usefixtures("client")
async def test_who_cannot_connect_is_told_the_variable_that_mends_it(
    settings: dict[str, object], authority: Authority, tokens: TokensFile, command: Command, tmp_path: Path
) -> None:
    tokens.write("read cn:nightly")
    Authority(tmp_path, "stranger").issue("stray", "nightly")
    async with hosting("training", **settings) as address:
        for case, (variables, words) in WITHOUT.items():
            given = {f"DRIVETRAIN_TLS_{name}": text for name, text in variables.items()}
            result = await command("jobs", "--address", address, **given)
            assert (result.returncode, words in result.stderr) == (1, True), (case, result.stderr)


async def test_tls_with_a_service_that_has_none(authority: Authority, command: Command) -> None:
    async with hosting("training") as address:
        result = await command("jobs", "--address", address, DRIVETRAIN_TLS_CA=str(authority.file))
    assert "it does not speak TLS, which DRIVETRAIN_TLS_CA asks for" in result.stderr


async def test_a_wrong_variable_is_named(command: Command) -> None:
    result = await command("jobs", "--address", "localhost:1", DRIVETRAIN_TLS_CA="none.pem")
    assert result.returncode == 2
    assert "error: DRIVETRAIN_TLS_CA: expected a readable PEM file, came none.pem" in result.stderr


async def probe(address: str, home: Path, **variables: str) -> tuple[int, str]:
    """Exit code and words of the probe as containers run it."""
    line = [sys.executable, "-m", "services.rpc.probe", address]
    result = await asyncio.to_thread(
        subprocess.run, line, env=environment(home, **variables), cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.returncode, result.stderr.strip()


async def test_the_probe_speaks_tls_where_the_variables_say_so(
    authority: Authority, client: dict[str, str], tokens: TokensFile, tmp_path: Path
) -> None:
    tokens.write("admin alpha")
    certificate, key = authority.issue("server", "server", x509.DNSName(NAME))
    server = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": authority.file}
    async with hosting("prediction", tokens_file=tokens.path, **server) as address:

        async def serves() -> bool:
            return await probe(address, tmp_path, **client, DRIVETRAIN_TLS_NAME=NAME) == (0, "")

        await eventually_async(serves)
        assert await probe(address, tmp_path, **client) == (1, f"{address} is not serving")  # another name
        assert await probe(address, tmp_path) == (1, f"{address} is not serving")
        assert await probe(address, tmp_path, DRIVETRAIN_TLS_NAME=NAME) == (
            1,
            "error: DRIVETRAIN_TLS_CA: expected a PEM file with authorities, or 'public', wherever TLS is set up, "
            "came only DRIVETRAIN_TLS_NAME",
        )
    async with hosting("prediction") as address:
        await eventually_async(lambda: _is(probe(address, tmp_path), (0, "")))


async def _is(answer: Awaitable[object], expected: object) -> bool:
    return await answer == expected
