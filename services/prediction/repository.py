"""What this server knows of each model: the versions that answer, and why others do not.

Changed in the event loop only. What is served may be found in any thread: each change is one assignment.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakSet

from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import CHALLENGER, NO_RULE, TrafficRule
from services.prediction.desired import CHAMPION, Orders
from services.prediction.entry import (
    COMING_BACK,
    EVICTED,
    LEAVING,
    LOADING,
    NO_CHAMPION,
    UNLOADED,
    Absent,
    Entry,
    ServedVersion,
)
from services.prediction.errors import ModelNotReadyError, UnknownAliasError, UnknownModelError, UnknownVersionError
from services.prediction.eviction import Resident
from services.prediction.traffic import is_canary, place_of
from services.rpc.errors import InvalidRequestError

VERSION = re.compile("[0-9]{1,18}")

State = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass(frozen=True)
class IndexRow:
    """One line of the repository index; the version is empty where no version of the model is known."""

    name: str
    version: str
    state: State
    reason: str


class Repository:
    """Models by name. A swap is one assignment between two requests."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._leaving: WeakSet[ServedVersion] = WeakSet()
        self.generation = 0
        """Grows with each change; who remembers what `find` said compares it."""
        self.asked: Callable[[str, str], object] = _nobody
        """Told which evicted version, by model and number, a request asks for, in the request's thread."""
        self.changed: Callable[[str, Entry], object] = _unheard
        """Told each new entry, by the model's name."""

    @property
    def busy(self) -> bool:
        """Whether a version, replaced or not, has calls that wait or run."""
        return any(not each.batcher.idle for each in (*self.served(), *self._leaving))

    def find(self, name: str, version: str, alias: str = "") -> ServedVersion:
        """What answers for a version of a model, which comes back if it was evicted; may be called in any thread.

        It is named by number, by alias (`name@alias` does it too), or not at all: the champion.
        Raises InvalidRequestError, UnknownModelError, UnknownVersionError, UnknownAliasError or ModelNotReadyError.
        """
        name, number, found = self._resolve(name, version, alias)
        if isinstance(found, ServedVersion):
            return found
        if found.evicted:
            self.asked(name, number)
        raise ModelNotReadyError(name, COMING_BACK if found.evicted else found.reason)

    def route(self, name: str, version: str, alias: str = "", key: str = "") -> ServedVersion:
        """What answers this request: where no version is named, the challenger takes its share, by routing key.

        May be called in any thread. Raises as `find`.
        """
        if self.is_shared(name, version, alias) and is_canary(self.entry(name).rule.canary_share, place_of(name, key)):
            with suppress(ModelNotReadyError, UnknownAliasError):  # then the champion answers
                return self.find(name, "", CHALLENGER)
        return self.find(name, version, alias)

    def is_shared(self, name: str, version: str, alias: str = "") -> bool:
        """Whether champion and challenger share the requests that name this."""
        return not version and not alias and self.entry(name).rule.canary_share > 0

    def is_ready(self, name: str, version: str, alias: str = "") -> bool:
        """Whether something answers. Raises as `find`, but for ModelNotReadyError."""
        return isinstance(self._resolve(name, version, alias)[2], ServedVersion)

    def known(self) -> dict[str, Entry]:
        """A copy of the entries by model name."""
        return dict(self._entries)

    def entry(self, name: str) -> Entry:
        """The model's entry; an empty one if it is not known."""
        return self._entries.get(name, Entry())

    def follow(self, name: str, aliases: Mapping[str, str], rule: TrafficRule = NO_RULE) -> None:
        """The registry says this of the model."""
        self._put(name, replace(self.entry(name), aliases=dict(aliases), rule=rule))

    def order(self, name: str, orders: Orders) -> None:
        """An operator wants this of the model."""
        self._put(name, replace(self.entry(name), orders=orders))

    def swap(self, served: ServedVersion) -> None:
        """The version is loaded: it answers from now on for what names it, and counts as used just now."""
        self._set(served.name, served.version, replace(served, loaded_s=time.monotonic()))

    def begin(self, name: str, version: str) -> None:
        """The version is being loaded; why it was refused before stays to be read."""
        found = self.entry(name).versions.get(version)
        before = found.reason if isinstance(found, Absent) and found.reason not in {UNLOADED, EVICTED} else LOADING
        self._set(name, version, Absent(before, "LOADING"))

    def refuse(self, name: str, version: str, reason: str) -> None:
        """The version cannot be served; what answered before goes on."""
        self._set(name, version, Absent(reason))

    def evict(self, name: str, version: str) -> None:
        """The version leaves to make room, until a request asks for it."""
        self._set(name, version, Absent(EVICTED, evicted=True))

    def wake(self, name: str, version: str = "") -> bool:
        """The version, or each version of the model, is missed if it was evicted; whether one was."""
        versions = self.entry(name).versions.items()
        evicted = [number for number, each in versions if isinstance(each, Absent) and each.evicted]
        woken = [number for number in evicted if version in ("", number)]
        for number in woken:
            self.begin(name, number)
        return bool(woken)

    def note(self, name: str, promotion: Promotion) -> None:
        """Who promoted a version of the model, and when."""
        self._put(name, replace(self.entry(name), promotion=promotion))

    def forget(self, name: str) -> None:
        """The model is no longer registered."""
        self._entries.pop(name, None)
        self.generation += 1
        self.changed(name, Entry())

    def residents(self) -> list[Resident]:
        """The served versions as the memory budget sees them."""
        return [
            Resident(each.name, each.version, each.memory_bytes, each.used_s, each.version == entry.champion)
            for entry in self._entries.values()
            for each in entry.versions.values()
            if isinstance(each, ServedVersion)
        ]

    def served(self, name: str = "") -> list[ServedVersion]:
        """All versions that answer, of the model or of every one, by name and number. Raises UnknownModelError."""
        if name and name not in self._entries:
            raise UnknownModelError(name[:256])
        entries = [self._entries[name]] if name else [entry for _, entry in sorted(self._entries.items())]
        versions = [
            each for entry in entries for _, each in sorted(entry.versions.items(), key=lambda one: int(one[0]))
        ]
        return [each for each in versions if isinstance(each, ServedVersion)]

    def index(self) -> Iterator[IndexRow]:
        """A row for each known version, by model name and number."""
        for name, entry in sorted(self._entries.items()):
            leaving = {each.version for each in self._leaving if each.name == name and not each.batcher.idle}
            versions = entry.versions.keys() | leaving
            for version in sorted(versions, key=int):
                if entry.served(version) is None and version in leaving:
                    yield IndexRow(name, version, "UNLOADING", LEAVING)
                else:
                    yield _row(name, version, entry)
            if not versions:
                yield IndexRow(name, "", "UNAVAILABLE", UNLOADED if entry.orders.off else NO_CHAMPION)

    def _resolve(self, name: str, version: str, alias: str) -> tuple[str, str, ServedVersion | Absent]:
        """Name and number of what is asked for, and what there is of it."""
        if version and not VERSION.fullmatch(version):
            raise InvalidRequestError("model_version", "an integer, or empty for the champion", repr(version[:64]))
        if name not in self._entries:
            name, alias = _split(name, alias)
        if version and alias:
            raise InvalidRequestError("model_version", f"none beside the alias {alias[:256]!r}", version)
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownModelError(name[:256])
        number = str(int(version)) if version else entry.number(alias or CHAMPION)
        found = entry.versions.get(number)
        if found is not None:
            return name, number, found
        if entry.orders.off:
            return name, number, Absent(UNLOADED)
        if version:
            raise UnknownVersionError(name, number, entry.champion)
        if alias and not number:
            raise UnknownAliasError(name, alias[:256], tuple(sorted(entry.aliases)))
        return name, number, Absent(LOADING if number else NO_CHAMPION)

    def _set(self, name: str, version: str, what: ServedVersion | Absent) -> None:
        entry = self.entry(name)
        self._put(name, replace(entry, versions={**entry.versions, version: what}))

    def _put(self, name: str, entry: Entry) -> None:
        before, after = self.entry(name), entry.aligned()
        self._entries[name] = after
        self.generation += 1
        for version, each in before.versions.items():
            if isinstance(each, ServedVersion) and after.versions.get(version) is not each:
                self._leaving.add(each)
        self.changed(name, after)


def _nobody(name: str, version: str) -> None:
    """Nobody follows the registry yet."""


def _unheard(name: str, entry: Entry) -> None:
    """Nobody needs to know."""


def _row(name: str, version: str, entry: Entry) -> IndexRow:
    found = entry.versions[version]
    if isinstance(found, ServedVersion):
        return IndexRow(name, version, "READY", entry.described(version))
    return IndexRow(name, version, found.state, found.reason)


def _split(name: str, alias: str) -> tuple[str, str]:
    """Model and alias of `name@alias`."""
    model, _, named = name.rpartition("@")
    if not model or not named:
        return name, alias
    if alias:
        raise InvalidRequestError("model_name", f"no alias beside the parameter alias={alias[:256]}", name[:256])
    return model, named
