"""One store for all tests here, certificates and a tokens file for each."""

from pathlib import Path

import pytest

from pipelines.home import mlflow_client
from tests.integration.security.hosts import TokensFile
from tests.unit.rpc.authority import Authority


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("DRIVETRAIN_HOME", str(home))
        mlflow_client().search_experiments()  # makes the database, which takes seconds
    return home


@pytest.fixture(autouse=True)
def home(_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store, in use; no variable leads a client elsewhere."""
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "DRIVETRAIN_TOKEN", "DRIVETRAIN_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CA", "CERTIFICATE", "KEY", "NAME"):
        monkeypatch.delenv(f"DRIVETRAIN_TLS_{name}", raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(_home))
    return _home


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tokens(tmp_path: Path) -> TokensFile:
    """Not there yet."""
    return TokensFile(tmp_path / "tokens")
