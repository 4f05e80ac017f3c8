"""Stores for the tests of the prediction service."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.integration.prediction import serving
from tests.integration.prediction.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}")
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    return Store(tmp_path, empty_database)


@pytest.fixture(params=["native", "grpcio"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Servers of the test speak the one, then the other: both must behave the same."""
    monkeypatch.setitem(serving.DEFAULTS, "transport", request.param)
    return str(request.param)
