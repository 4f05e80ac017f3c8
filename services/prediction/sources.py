"""Where the follower gets versions: the registry, and what the server remembers of the life before its restart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pipelines.errors import PackageError
from pipelines.registry.package import Package


class VersionSource(Protocol):
    """The registry as the follower needs it; both calls block, and raise RegistryError."""

    def champions(self) -> Mapping[str, str | None]:
        """The champion's version by registered model."""

    def fetch(self, model: str, version: str, directory: Path) -> Package:
        """Download a version into `directory` and verify it."""


class Memory(Protocol):
    """The versions that were in service last, to be had without the registry; the calls block."""

    def remembered(self) -> Mapping[str, str]:
        """The version by model."""

    def recall(self, model: str, version: str) -> Package:
        """A remembered version, verified. Raises PackageError."""

    def remember(self, model: str, version: str) -> None:
        """This version of the model, fetched or recalled by this server, is in service."""

    def forget(self, model: str) -> None:
        """The model has no champion any more."""


class NoMemory:
    """A server without a cache: every life begins with the registry."""

    def remembered(self) -> Mapping[str, str]:
        """Nothing."""
        return {}

    def recall(self, model: str, version: str) -> Package:
        """Raises PackageError."""
        raise PackageError(f"version {version} of {model!r} is not remembered")

    def remember(self, model: str, version: str) -> None:
        """Nothing happens."""

    def forget(self, model: str) -> None:
        """Nothing happens."""
