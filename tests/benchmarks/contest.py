"""What the contests of serving and training have in common: who can take part, and what is missing."""

import argparse
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from rich.console import Console

from tests.benchmarks.environments import SetUpError


class Named(Protocol):
    """Whoever takes part."""

    @property
    def name(self) -> str:
        """As options call it."""

    @property
    def title(self) -> str:
        """As tables call it."""


C = TypeVar("C", bound=Named)


class Missing:
    """What could not be measured, told loudly as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.reasons: list[str] = []

    def tell(self, reason: str) -> None:
        """Say loudly that something is missing."""
        self.reasons.append(reason)
        self._console.print(f"MISSING: {reason}", style="bold red", markup=False, highlight=False)

    def set_up(self, contestants: Sequence[C], set_up: Callable[[C], None]) -> list[C]:
        """Those that can take part."""
        ready = []
        for contestant in contestants:
            self._console.print(f"setting up {contestant.title}", highlight=False)
            try:
                set_up(contestant)
            except SetUpError as error:
                self.tell(f"{contestant.name} could not be set up: {error}")
            else:
                ready.append(contestant)
        return ready


def count(text: str) -> int:
    """For argparse: a whole number from 1 on."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return number
