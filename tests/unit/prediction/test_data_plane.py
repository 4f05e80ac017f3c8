import asyncio
from pathlib import Path

import pytest

from pipelines.errors import RegistryError
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.data_plane import DataPlane
from services.prediction.errors import UnknownModelError
from services.prediction.follower import Follower
from services.prediction.loading import Loading
from services.prediction.metrics import Metrics
from services.prediction.model import load
from services.prediction.repository import Repository, ServedVersion
from services.prediction.sources import UncachedSource
from services.rpc.errors import StoppingError
from tests.unit.prediction.graphs import manifest, package


class Away:
    """A registry that is away."""

    def aliases(self) -> dict[str, dict[str, str]]:
        raise RegistryError("away")

    def is_registered(self, model: str) -> bool:
        raise RegistryError(f"cannot read {model}")

    def promotion(self, model: str, version: str) -> Promotion:
        raise RegistryError(f"cannot read {model} {version}")

    def manifest_sha256(self, model: str, version: str) -> str | None:
        raise RegistryError(f"cannot read {model} {version}")

    def size_bytes(self, model: str, version: str) -> int | None:
        raise RegistryError(f"cannot read {model} {version}")

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float) -> Package:
        raise RegistryError(f"cannot fetch {model} {version} of {max_bytes} bytes into {directory}")


@pytest.fixture
def plane() -> DataPlane:
    metrics, repository = Metrics(), Repository()

    def load_version(name: str, version: str, fetched: Package) -> ServedVersion:
        counts = metrics.of_version(name, version)
        batcher = Batcher(load(name, version, fetched, 1, 4), counts, Budget(2**20), 4, 4)
        return ServedVersion(name, version, manifest(name), batcher, counts)

    repository.follow("digits", {"champion": "1"})
    repository.swap(load_version("digits", "1", package("digits")))
    loading = Loading(repository, load_version, metrics, 60)
    return DataPlane(repository, Follower(UncachedSource(Away(), 10**9), repository, loading, metrics, 60))


async def test_draining_refuses_the_new_and_waits_for_those_under_way(plane: DataPlane) -> None:
    with plane.request("digits", ""):
        draining = asyncio.create_task(plane.drain())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError), plane.request("digits", ""):
            pass
        assert not plane.model_ready("digits", "")
        assert not draining.done()
    await draining


async def test_draining_an_idle_server_does_not_wait(plane: DataPlane) -> None:
    async with asyncio.timeout(0):
        await plane.drain()


async def test_a_failed_request_is_counted_and_is_under_way_no_more(plane: DataPlane) -> None:
    with pytest.raises(KeyError), plane.request("digits", "") as served:
        raise KeyError
    assert served.metrics.failures == {"OTHER": 1}
    await plane.drain()


async def test_ready(plane: DataPlane) -> None:
    assert not plane.ready, "the registry was not read yet"
    assert plane.model_ready("digits", "1")
    with pytest.raises(UnknownModelError):
        plane.model_ready("other", "")
    assert [row.name for row in plane.index(ready_only=True)] == ["digits"]
