"""Which versions of a model are to be loaded: what the registry's aliases name, and what operators ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

CHAMPION = "champion"


@dataclass(frozen=True)
class Orders:
    """What operators asked for of one model; it goes before what the registry says."""

    off: bool = False
    """Unloaded as a whole: its aliases are not followed."""
    pinned: frozenset[str] = frozenset()
    """Versions to serve though no alias may name them."""
    unloaded: frozenset[str] = frozenset()
    """Versions not to serve though an alias may name them."""

    def load(self, version: str) -> Self:
        """Follow the model (again); an empty version stands for all that was unloaded, another is pinned."""
        if not version:
            return replace(self, off=False, unloaded=frozenset())
        return replace(self, off=False, pinned=self.pinned | {version}, unloaded=self.unloaded - {version})

    def unload(self, version: str) -> Self:
        """Serve no more of the version; of none at all if it is empty."""
        if not version:
            return type(self)(off=True)
        return replace(self, pinned=self.pinned - {version}, unloaded=self.unloaded | {version})

    def unpin(self, version: str) -> Self:
        """Take back that a version was pinned."""
        return replace(self, pinned=self.pinned - {version})


def desired(aliases: Mapping[str, str], orders: Orders) -> list[str]:
    """The versions to be loaded, the champion first and then the newest."""
    if orders.off:
        return []
    versions = {*aliases.values(), *orders.pinned} - orders.unloaded
    champion = aliases.get(CHAMPION)
    return sorted(versions, key=lambda version: (version != champion, -int(version)))
