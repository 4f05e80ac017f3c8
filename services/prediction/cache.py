"""A registry with a cache on disk: what was downloaded once is not again, and a restart does without the registry.

packages/SHA/     the files of a version
served/SHA.json   what is in service of a model, under the hash of its name; a file each, as servers share them
partial/          see `cache_folder`

A folder belongs to one registry: what it remembers is served while that registry is away.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import PackageError
from pipelines.registry.manifest import Sha256
from pipelines.registry.package import Package, sha256
from services.prediction.cache_folder import CacheFolder
from services.prediction.metrics import Metrics
from services.prediction.package_cache import PackageCache
from services.prediction.sources import Aliases, Registry, UncachedSource

logger = logging.getLogger(__name__)

SHA256 = re.compile("[0-9a-f]{64}")


class InService(BaseModel):
    """What is served of a model, as its file has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    aliases: dict[str, str]
    manifests: dict[str, Sha256]
    """The SHA-256 of its manifest, by version."""


class CachedSource(UncachedSource):
    """The follower's source with a cache on disk, which is its memory too."""

    def __init__(
        self, registry: Registry, max_bytes: int, directory: Path, cache_max_bytes: int, metrics: Metrics
    ) -> None:
        super().__init__(registry, max_bytes)
        self._metrics = metrics
        self._folder = CacheFolder(directory)
        self._served = directory / "served"
        self._packages = PackageCache(self._folder, cache_max_bytes)
        self._manifests: dict[tuple[str, str], str] = {}

    def fetch(self, model: str, version: str) -> Package:
        """The version out of the cache, or else downloaded and kept. Raises what the registry raises.

        The registry is asked for the hash first: a model that was deleted and made anew counts its versions from 1.
        """
        recorded = self._registry.manifest_sha256(model, version)
        if recorded is None or not SHA256.fullmatch(recorded):
            return super().fetch(model, version)  # which says what is wrong with such a version
        package = self._open(recorded)
        if package is None:
            package = self._download(model, version, recorded)
        self._manifests[model, version] = recorded
        return package

    def remembered(self) -> Mapping[str, Aliases]:
        """What was in service last, by model."""
        return {model: served.aliases for model, served in self._in_service().items()}

    def recall(self, model: str, version: str) -> Package:
        """A remembered version out of the cache. Raises PackageError."""
        served = self._in_service().get(model)
        recorded = served.manifests.get(version) if served is not None else None
        package = self._open(recorded) if recorded is not None else None
        if package is None or recorded is None:
            raise PackageError("the cache does not hold it, and the registry is away")
        self._manifests[model, version] = recorded
        return package

    def remember(self, model: str, aliases: Aliases) -> None:
        """Write down that these versions, fetched or recalled before, are in service."""
        manifests = {version: self._manifests[model, version] for version in sorted(aliases.values())}
        served = InService(model=model, aliases=dict(aliases), manifests=manifests)
        if self._in_service().get(model) != served:
            content = served.model_dump_json().encode()
            self._folder.attempt(lambda: self._folder.write(self._file(model), content))

    def forget(self, model: str) -> None:
        """Nothing of the model is in service."""
        self._folder.attempt(lambda: self._file(model).unlink(missing_ok=True))

    def _download(self, model: str, version: str, manifest_sha256: str) -> Package:
        """Download beneath the cache's folder, and move the files into place; elsewhere if it cannot take them."""
        kept = {recorded for served in self._in_service().values() for recorded in served.manifests.values()}
        if not self._packages.reserve(self._registry.size_bytes(model, version) or 0, kept):
            return super().fetch(model, version)
        with self._folder.draft() as draft:
            package = self._registry.fetch(model, version, draft, self._max_bytes)
            self._packages.add(manifest_sha256, draft, kept)
        return package

    def _open(self, manifest_sha256: str) -> Package | None:
        package = self._packages.open(manifest_sha256)
        counter: Counter = self._metrics.cache_misses if package is None else self._metrics.cache_hits
        counter.inc()
        return package

    def _in_service(self) -> dict[str, InService]:
        found = {}
        for path in sorted(self._served.glob("*.json")):
            try:
                served = InService.model_validate_json(path.read_bytes())
            except FileNotFoundError:  # another server forgets it just now
                continue
            except (OSError, ValidationError) as error:
                logger.warning("%s is passed over: %s", path, error)
                continue
            found[served.model] = served
        return found

    def _file(self, model: str) -> Path:
        return self._served / f"{sha256(model.encode())}.json"
