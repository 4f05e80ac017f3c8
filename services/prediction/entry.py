"""One model as this server knows it: which versions answer, for which alias, and why others do not."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from pipelines.registry.manifest import Manifest
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import NO_RULE, TrafficRule
from services.prediction.batcher import Batcher
from services.prediction.desired import CHAMPION, Orders, desired
from services.prediction.metrics import VersionMetrics

NO_CHAMPION = "no version of it is champion"
UNLOADED = "unloaded"
LOADING = "it is being loaded"
LEAVING = "its last requests finish"
EVICTED = "evicted: others needed its memory; a request brings it back"
COMING_BACK = "it had left the memory to others and is being loaded again"


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """A version that answers requests. Whoever holds it may finish with it, also after it was replaced."""

    name: str
    version: str
    manifest: Manifest
    batcher: Batcher
    metrics: VersionMetrics
    memory_bytes: int = 0
    """What it takes, by estimate."""
    loaded_s: float = 0.0
    """When it was put in service, of `time.monotonic()`."""

    @property
    def used_s(self) -> float:
        """When it answered last or was put in service, of `time.monotonic()`."""
        return max(self.loaded_s, self.metrics.last_s)


@dataclass(frozen=True)
class Absent:
    """A version that is not served, and why."""

    reason: str
    state: Literal["UNAVAILABLE", "LOADING"] = "UNAVAILABLE"
    evicted: bool = False
    """Left to make room: it comes back when a request asks for it."""


@dataclass(frozen=True)
class Entry:
    """One known model. A new state is a new entry, so no request can see half of a change."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    """As the registry says."""
    orders: Orders = field(default_factory=Orders)
    versions: Mapping[str, ServedVersion | Absent] = field(default_factory=dict)
    answering: Mapping[str, str] = field(default_factory=dict)
    """The version that answers for an alias: what it names or, until that is loaded, what it named before."""
    promotion: Promotion | None = None
    rule: TrafficRule = NO_RULE

    def served(self, version: str | None) -> ServedVersion | None:
        """The version, if it is served."""
        found = self.versions.get(version) if version is not None else None
        return found if isinstance(found, ServedVersion) else None

    @property
    def champion(self) -> str:
        """The version that answers where none is named; empty if there is none."""
        return self.answering.get(CHAMPION, "")

    def number(self, alias: str) -> str:
        """The version that answers for the alias, or that is to; empty if there is none."""
        return self.answering.get(alias) or self.aliases.get(alias, "")

    def missing(self) -> list[str]:
        """The versions that are to be loaded, the champion first; those that were refused are among them.

        What was evicted is not, unless it is champion now.
        """
        absent = {version: self.versions.get(version, Absent("")) for version in desired(self.aliases, self.orders)}
        return [
            version
            for version, each in absent.items()
            if isinstance(each, Absent) and (not each.evicted or version == self.aliases.get(CHAMPION))
        ]

    def aligned(self) -> "Entry":
        """The entry without what nobody asks for any more, and with each alias at its version if that is served."""
        answering = {}
        for alias, version in self.aliases.items():
            now = next((each for each in (version, self.answering.get(alias)) if self.served(each)), None)
            if now is not None and not self.orders.off and now not in self.orders.unloaded:
                answering[alias] = now
        kept = {*desired(self.aliases, self.orders), *answering.values()}
        versions = {version: each for version, each in self.versions.items() if version in kept}
        gone = self.versions.keys() if self.orders.off else self.orders.unloaded
        return replace(self, answering=answering, versions=versions | dict.fromkeys(gone, Absent(UNLOADED)))

    def described(self, version: str) -> str:
        """What a served version is served for: its aliases, and who promoted it when."""
        names = []
        for alias in sorted(self.answering, key=lambda alias: (alias != CHAMPION, alias)):
            if self.answering[alias] == version:
                named = self.aliases[alias]
                names.append(alias if named == version else f"{alias} until version {named} is loaded")
        if version in self.orders.pinned:
            names.append("pinned")
        promotion = self.promotion
        if promotion is not None and promotion.at and version == self.champion == promotion.version:
            names.append(f"promoted {promotion.at} by {promotion.by}")
        return ", ".join(names)
