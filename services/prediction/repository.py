"""What this server knows of each model: the version that answers, and why another does not. Event loop only."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.registry.manifest import Manifest
from services.prediction.batcher import Batcher
from services.prediction.errors import ModelNotReadyError, UnknownModelError, UnknownVersionError
from services.prediction.metrics import VersionMetrics
from services.rpc.errors import InvalidRequestError


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """A version that answers requests. Whoever holds it may finish with it, also after it was replaced."""

    name: str
    version: str
    manifest: Manifest
    batcher: Batcher
    metrics: VersionMetrics


@dataclass(frozen=True)
class Refusal:
    """A version that is not served, and why; the version is empty where the model has no champion."""

    version: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """One known model: what answers and what was refused; at least one of them is there."""

    served: ServedVersion | None
    refused: Refusal | None

    def settled_on(self, champion: str | None) -> bool:
        """Whether this is all that can be made of the registry's champion: it serves, or there is none."""
        if champion is None:
            return self.served is None and self.refused is not None and not self.refused.version
        return self.served is not None and self.served.version == champion and self.refused is None


@dataclass(frozen=True)
class IndexRow:
    """One line of the repository index."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Repository:
    """Models by name. A swap is one assignment between two requests, so no request can see half of it."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.generation = 0
        """Grows with each change; who remembers what `find` said compares it."""

    def find(self, name: str, version: str) -> ServedVersion:
        """What answers for `version` of `name`; the empty version is the champion.

        Raises InvalidRequestError (the version is no integer), UnknownModelError, UnknownVersionError or
        ModelNotReadyError.
        """
        if version and not re.fullmatch(r"[0-9]{1,18}", version):
            raise InvalidRequestError("model_version", "an integer, or empty for the champion", repr(version[:64]))
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownModelError(name[:256])
        served, refused = entry.served, entry.refused
        if served is not None and (not version or int(version) == int(served.version)):
            return served
        if refused is not None and (served is None or (version and version == refused.version)):
            raise ModelNotReadyError(name, refused.reason)
        raise UnknownVersionError(name, version, served.version if served else "")

    def known(self) -> dict[str, Entry]:
        """A copy of the entries by model name."""
        return dict(self._entries)

    def served(self) -> list[ServedVersion]:
        """All that answers, by model name."""
        return [entry.served for _, entry in sorted(self._entries.items()) if entry.served is not None]

    def swap(self, served: ServedVersion) -> None:
        """`served` answers from now on."""
        self._entries[served.name] = Entry(served, None)
        self.generation += 1

    def refuse(self, name: str, version: str, reason: str) -> None:
        """`version` cannot be served; what answered before goes on."""
        before = self._entries.get(name, Entry(None, None))
        self._entries[name] = replace(before, refused=Refusal(version, reason))

    def clear_refusal(self, name: str) -> None:
        """The served version is the champion (again): nothing is wrong with the model."""
        self._entries[name] = replace(self._entries[name], refused=None)

    def retire(self, name: str, reason: str) -> None:
        """The model stays known, but nothing answers for it."""
        self._entries[name] = Entry(None, Refusal("", reason))
        self.generation += 1

    def forget(self, name: str) -> None:
        """The model is no longer registered."""
        self._entries.pop(name, None)
        self.generation += 1

    def index(self) -> Iterator[IndexRow]:
        """A row for each served and each refused version, by model name."""
        for name, entry in sorted(self._entries.items()):
            if entry.served is not None:
                yield IndexRow(name, entry.served.version, "READY", "")
            if entry.refused is not None:
                yield IndexRow(name, entry.refused.version, "UNAVAILABLE", entry.refused.reason)
