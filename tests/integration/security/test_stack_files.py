"""What the compose stack's scripts make: tokens and certificates that the services take."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from services.prediction.settings import Settings as PredictionSettings
from services.rpc.settings import HostSettings
from services.training.settings import Settings as TrainingSettings
from tests.integration.cli.commands import ROOT
from tests.integration.security.hosts import LOAD, METADATA, Code, Files, asked, hosting
from tests.waiting import eventually_async

SETTINGS: dict[str, type[HostSettings]] = {"prediction": PredictionSettings, "training": TrainingSettings}


def run(script: str, *arguments: str, secrets: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the stack's scripts on a folder of secrets."""
    return subprocess.run(
        [ROOT / "deploy/compose" / script, *arguments],
        env=os.environ | {"DRIVETRAIN_SECRETS": str(secrets)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """A folder as a new stack has it."""
    folder = tmp_path / "secrets"
    assert run("secrets.sh", str(folder), secrets=folder).returncode == 0
    return folder


@pytest.fixture
def certified(secrets: Path) -> Path:
    """The same, with certificates for TLS."""
    for arguments in (("server", "models.example.org"), ("client", "shop")):
        result = run("certificates.sh", *arguments, secrets=secrets)
        assert result.returncode == 0, result.stderr
    return secrets


def test_services_get_the_hash_of_the_clients_token_alone(secrets: Path) -> None:
    token = (secrets / "client-token").read_text()
    for name in ("prediction-tokens", "training-tokens"):
        assert token not in (secrets / name).read_text()
        assert (secrets / name).stat().st_mode & 0o777 == 0o644  # its owner adds lines, containers read it


def test_tokens_of_an_older_stack_stay(secrets: Path) -> None:
    (secrets / "prediction-tokens").write_text("admin plain\n")
    assert run("secrets.sh", str(secrets), secrets=secrets).returncode == 0
    assert (secrets / "prediction-tokens").read_text() == "admin plain\n"


@pytest.mark.parametrize("service", SETTINGS)
async def test_the_clients_token_has_all_rights(service: str, secrets: Path) -> None:
    method = {"prediction": LOAD, "training": "/drivetrain.training.v1.TrainingService/CancelJob"}[service]
    token = (secrets / "client-token").read_text()
    async with hosting(service, tokens_file=secrets / f"{service}-tokens") as address:
        assert await asked(address, method=method, token=token) is Code.NOT_FOUND  # allowed, but there is nothing
        assert await asked(address, method=method) is Code.UNAUTHENTICATED


async def test_the_certificates_work_and_are_renewed_while_the_service_runs(certified: Path) -> None:
    tls = certified / "tls"
    shop = Files(tls / "ca.crt", (certified / "clients/shop.crt", certified / "clients/shop.key"))
    settings = {"tls_certificate": tls / "server.crt", "tls_key": tls / "server.key", "tls_client_ca": tls / "ca.crt"}
    tokens = certified / "prediction-tokens"
    _write(tokens, "infer cn:shop\n")
    async with hosting("prediction", **settings, tokens_file=tokens) as address:
        assert await asked(address, shop, METADATA) is Code.OK
        assert await asked(address, shop, LOAD) is Code.PERMISSION_DENIED
        itself = Files(tls / "ca.crt", (tls / "server.crt", tls / "server.key"))  # as the container's probe
        assert await asked(address, itself) is Code.OK

        _remove_authority(certified)
        assert run("certificates.sh", "server", secrets=certified).returncode == 0
        renewed = Files(tls / "ca.crt", (tls / "server.crt", tls / "server.key"))
        await eventually_async(lambda: _is_ok(address, renewed))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _remove_authority(secrets: Path) -> None:
    (secrets / "authority.key").unlink()
    (secrets / "tls/ca.crt").chmod(0o644)


async def _is_ok(address: str, files: Files) -> bool:
    return await asked(address, files) is Code.OK


def test_containers_see_no_key_of_the_authority(certified: Path) -> None:
    assert {path.name for path in (certified / "tls").iterdir()} == {"ca.crt", "server.crt", "server.key"}
    assert (certified / "tls").stat().st_mode & 0o777 == 0o755
    assert (certified / "authority.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("arguments", [(), ("client",), ("client", "a", "b"), ("authority",)])
def test_wrong_arguments_make_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = run("certificates.sh", *arguments, secrets=tmp_path / "secrets")
    assert (result.returncode, list(tmp_path.iterdir())) == (2, [])
    assert result.stderr.startswith("error: expected certificates.sh server")


@pytest.mark.parametrize("service", SETTINGS)
def test_the_variables_of_the_tls_file_are_options(service: str) -> None:
    given = yaml.safe_load((ROOT / "deploy/compose/tls.yml").read_text())["services"][service]["environment"]
    prefix = f"DRIVETRAIN_{service.upper()}_"
    fields = {name.removeprefix(prefix).lower() for name in given if name.startswith(prefix)}
    assert fields == {"tls_certificate", "tls_key", "tls_client_ca"}
    assert fields <= SETTINGS[service].model_fields.keys()
    assert {name for name in given if name.startswith("DRIVETRAIN_TLS_")} == {
        f"DRIVETRAIN_TLS_{name}" for name in ("CA", "CERTIFICATE", "KEY", "NAME")
    }
