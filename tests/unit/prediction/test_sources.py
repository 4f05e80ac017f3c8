from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.errors import PackageError
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import Registered
from services.prediction.sources import UncachedSource
from tests.unit.prediction.graphs import package


class Registry:
    """A registry with one version, at the source's outer edge."""

    def __init__(self) -> None:
        self.directories: list[Path] = []

    def models(self) -> dict[str, Registered]:
        return {"digits": Registered({"champion": "1"})}

    def is_registered(self, model: str) -> bool:
        return model == "digits"

    def promotion(self, model: str, version: str) -> Promotion:
        return Promotion(version, model)

    def manifest_sha256(self, model: str, version: str) -> str | None:
        raise AssertionError(f"nobody needs it of {model} {version}")

    def size_bytes(self, model: str, version: str) -> int | None:
        raise AssertionError(f"nobody needs it of {model} {version}")

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        raise AssertionError(f"nobody needs it of {run_id}: {metrics}")

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float) -> Package:
        assert (version, max_bytes) == ("1", 1000)
        assert directory.is_dir()
        self.directories.append(directory)
        return package(model)


def test_without_a_cache_nothing_is_kept_and_nothing_remembered() -> None:
    registry = Registry()
    source = UncachedSource(registry, 1000)
    assert source.models() == registry.models()
    assert source.is_registered("digits")
    assert source.promotion("digits", "1") == Promotion("1", "digits")
    assert source.fetch("digits", "1").manifest.model == "digits"
    assert not registry.directories[0].exists()
    source.remember("digits", {"champion": "1"})
    source.forget("digits")
    assert source.remembered() == {}
    with pytest.raises(PackageError, match="not remembered"):
        source.recall("digits", "1")
