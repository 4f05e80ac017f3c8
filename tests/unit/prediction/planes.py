"""A data plane over a repository that the test fills itself: the registry behind it is away."""

from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import RegistryError
from pipelines.registry.manifest import Manifest
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import Registered
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.data_plane import DataPlane
from services.prediction.entry import ServedVersion
from services.prediction.follower import Follower
from services.prediction.loading import Loading
from services.prediction.metrics import Metrics
from services.prediction.model import load
from services.prediction.repository import Repository
from services.prediction.sources import UncachedSource
from tests.unit.prediction.graphs import manifest, package


class Away:
    """A registry that is away."""

    def models(self) -> dict[str, Registered]:
        raise RegistryError("away")

    def is_registered(self, model: str) -> bool:
        raise RegistryError(f"cannot read {model}")

    def promotion(self, model: str, version: str) -> Promotion:
        raise RegistryError(f"cannot read {model} {version}")

    def manifest_sha256(self, model: str, version: str) -> str | None:
        raise RegistryError(f"cannot read {model} {version}")

    def size_bytes(self, model: str, version: str) -> int | None:
        raise RegistryError(f"cannot read {model} {version}")

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        raise RegistryError(f"cannot write {metrics} to {run_id}")

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float) -> Package:
        raise RegistryError(f"cannot fetch {model} {version} of {max_bytes} bytes into {directory}")


def served(name: str, version: str, described: Manifest | None = None) -> ServedVersion:
    """A version of the classifier, ready to serve."""
    counts = Metrics().of_version(name, version)
    batcher = Batcher(load(name, version, package(name), 1, 4), counts, Budget(2**20), 4, 4)
    return ServedVersion(name, version, described or manifest(name), batcher, counts)


def plane_over(repository: Repository) -> DataPlane:
    """A data plane that never reads its registry."""
    metrics = Metrics()
    loading = Loading(repository, lambda name, version, _: served(name, version), metrics, 60)
    follower = Follower(UncachedSource(Away(), 10**9), repository, loading, metrics, 60)
    return DataPlane(repository, follower)
