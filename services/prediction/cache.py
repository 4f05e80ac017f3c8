"""A registry with a cache on disk: what was downloaded once is not again, and a restart does without the registry.

packages/SHA/       the files of a version
champions/SHA.json  what is in service of a model, under the hash of its name; a file each, as servers share them
partial/            see `cache_folder`

A folder belongs to one registry: what it remembers is served while that registry is away.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import PackageError
from pipelines.registry.manifest import Sha256
from pipelines.registry.package import Package, sha256
from services.prediction.cache_folder import CacheFolder
from services.prediction.metrics import Metrics
from services.prediction.package_cache import PackageCache
from services.prediction.sources import VersionSource

logger = logging.getLogger(__name__)


class Registry(VersionSource, Protocol):
    """A registry that tells a version's hash before anything is downloaded."""

    def manifest_sha256(self, model: str, version: str) -> str | None:
        """The recorded SHA-256 of the version's manifest; None where none was recorded. Raises RegistryError."""


class Champion(BaseModel):
    """A version in service, as its file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    version: str
    manifest_sha256: Sha256


class CachedSource:
    """The follower's VersionSource and Memory in one; the calls block and may come from any thread."""

    def __init__(self, registry: Registry, directory: Path, max_bytes: int, metrics: Metrics) -> None:
        self._registry, self._metrics = registry, metrics
        self._folder = CacheFolder(directory)
        self._champions = directory / "champions"
        self._packages = PackageCache(self._folder, max_bytes)
        self._manifests: dict[tuple[str, str], str] = {}

    def champions(self) -> Mapping[str, str | None]:
        """As the registry says now. Raises RegistryError."""
        return self._registry.champions()

    def fetch(self, model: str, version: str, directory: Path) -> Package:
        """The version out of the cache, or else downloaded and kept. Raises what the registry raises.

        The registry is asked for the hash first: a model that was deleted and made anew counts its versions from 1.
        """
        recorded = self._registry.manifest_sha256(model, version)
        if recorded is None:
            return self._registry.fetch(model, version, directory)  # which says what is wrong with such a version
        package = self._open(recorded)
        if package is None:
            package = self._registry.fetch(model, version, directory)
            kept = {champion.manifest_sha256 for champion in self._in_service().values()}
            self._packages.add(recorded, directory, kept)
        self._manifests[model, version] = recorded
        return package

    def remembered(self) -> Mapping[str, str]:
        """What was in service last, by model."""
        return {model: champion.version for model, champion in self._in_service().items()}

    def recall(self, model: str, version: str) -> Package:
        """A remembered version out of the cache. Raises PackageError."""
        champion = self._in_service().get(model)
        package = None
        if champion is not None and champion.version == version:
            package = self._open(champion.manifest_sha256)
            self._manifests[model, version] = champion.manifest_sha256
        if package is None:
            raise PackageError("the cache does not hold it, and the registry is away")
        return package

    def remember(self, model: str, version: str) -> None:
        """Write down that this version, fetched or recalled before, is in service."""
        champion = Champion(model=model, version=version, manifest_sha256=self._manifests[model, version])
        if self._in_service().get(model) != champion:
            content = champion.model_dump_json().encode()
            self._folder.attempt(lambda: self._folder.write(self._file(model), content))

    def forget(self, model: str) -> None:
        """Nothing of the model is in service."""
        self._folder.attempt(lambda: self._file(model).unlink(missing_ok=True))

    def _open(self, manifest_sha256: str) -> Package | None:
        package = self._packages.open(manifest_sha256)
        counter: Counter = self._metrics.cache_misses if package is None else self._metrics.cache_hits
        counter.inc()
        return package

    def _in_service(self) -> dict[str, Champion]:
        found = {}
        for path in sorted(self._champions.glob("*.json")):
            try:
                champion = Champion.model_validate_json(path.read_bytes())
            except FileNotFoundError:  # another server forgets it just now
                continue
            except (OSError, ValidationError) as error:
                logger.warning("%s is passed over: %s", path, error)
                continue
            found[champion.model] = champion
        return found

    def _file(self, model: str) -> Path:
        return self._champions / f"{sha256(model.encode())}.json"
