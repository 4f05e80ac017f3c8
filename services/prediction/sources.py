"""Where the follower gets versions: the registry, and what the server remembers of the life before its restart."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pipelines.errors import PackageError
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import Registered

Aliases = Mapping[str, str]
"""The version that each alias of a model names."""


class Registry(Protocol):
    """What the service asks of the model registry; every call blocks, and raises RegistryError."""

    def models(self) -> Mapping[str, Registered]:
        """Aliases and traffic rule of every registered model."""

    def is_registered(self, model: str) -> bool:
        """Whether the registry has the model."""

    def promotion(self, model: str, version: str) -> Promotion:
        """Who made the version champion last, and when."""

    def manifest_sha256(self, model: str, version: str) -> str | None:
        """The recorded SHA-256 of the version's manifest; None where none was recorded."""

    def size_bytes(self, model: str, version: str) -> int | None:
        """The bytes of the version's files; None if its store does not tell."""

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Write metrics to a run, whatever its state."""

    def fetch(self, model: str, version: str, directory: Path, max_bytes: float) -> Package:
        """Download a version of at most `max_bytes` into `directory` and verify it."""


class Source(Protocol):
    """The follower's registry and its memory in one; the calls block, and may come from any thread."""

    def models(self) -> Mapping[str, Registered]:
        """Aliases and traffic rule of every registered model. Raises RegistryError."""

    def is_registered(self, model: str) -> bool:
        """Whether the registry has the model. Raises RegistryError."""

    def promotion(self, model: str, version: str) -> Promotion:
        """Who made the version champion last, and when. Raises RegistryError."""

    def fetch(self, model: str, version: str) -> Package:
        """A version, verified. Raises RegistryError."""

    def remembered(self) -> Mapping[str, Aliases]:
        """What the aliases of each model named when they were served last."""

    def recall(self, model: str, version: str) -> Package:
        """A remembered version, to be had without the registry. Raises PackageError."""

    def remember(self, model: str, aliases: Aliases) -> None:
        """These versions of the model, fetched or recalled by this server, are in service."""

    def forget(self, model: str) -> None:
        """Nothing of the model is in service."""


class UncachedSource:
    """The registry alone, without a memory: every version is downloaded, and every life begins with the registry."""

    def __init__(self, registry: Registry, max_bytes: int) -> None:
        self._registry, self._max_bytes = registry, max_bytes

    def models(self) -> Mapping[str, Registered]:
        """As the registry says now. Raises RegistryError."""
        return self._registry.models()

    def is_registered(self, model: str) -> bool:
        """As the registry says now. Raises RegistryError."""
        return self._registry.is_registered(model)

    def promotion(self, model: str, version: str) -> Promotion:
        """As the registry says now. Raises RegistryError."""
        return self._registry.promotion(model, version)

    def fetch(self, model: str, version: str) -> Package:
        """The version through the system's folder for temporary files. Raises RegistryError."""
        with TemporaryDirectory(prefix="drivetrain-") as directory:
            return self._registry.fetch(model, version, Path(directory), self._max_bytes)

    def remembered(self) -> Mapping[str, Aliases]:
        """Nothing."""
        return {}

    def recall(self, model: str, version: str) -> Package:
        """Raises PackageError."""
        raise PackageError(f"version {version} of {model!r} is not remembered")

    def remember(self, model: str, aliases: Aliases) -> None:
        """Nothing happens."""

    def forget(self, model: str) -> None:
        """Nothing happens."""
