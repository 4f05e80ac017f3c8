"""One Ray head and one home for all tests here; each test has a server of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.home import mlflow_client
from tests.integration.training.ray_head import RayHead, ray_head


@pytest.fixture(scope="package")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    home = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        in_use(home, patch)
        mlflow_client().search_experiments()  # makes the database before several processes want to
    with ray_head(home, driver=1) as running:
        yield running


@pytest.fixture
def cluster(head: RayHead, monkeypatch: pytest.MonkeyPatch) -> RayHead:
    """The head, its home in use."""
    in_use(head.home, monkeypatch)
    return head


def in_use(home: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        patch.delenv(name, raising=False)
    patch.setenv("DRIVETRAIN_HOME", str(home))
    patch.setenv("RAY_AUTH_MODE", "disabled")
