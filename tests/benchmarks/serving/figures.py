"""From single measurements to medians, and to ratios against the reference. Pure: nothing here measures."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.benchmarks.serving.load import Load


class Key(NamedTuple):
    """What a figure is about."""

    model: str
    in_flight: int
    contestant: str


@dataclass(frozen=True)
class Measurement:
    """One run of the load on one server."""

    key: Key
    repetition: int
    load: Load
    checked: int
    """Answers compared with torch's meanwhile."""
    problems: tuple[str, ...]
    """What was wrong with some of them."""


@dataclass(frozen=True)
class Cell:
    """All repetitions of a key: medians, and sums of what went wrong."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    checked: int
    wrong: int

    @property
    def sound(self) -> bool:
        """Whether every request got a good answer."""
        return not self.errors and not self.wrong


@dataclass(frozen=True)
class Reference:
    """The best that the references reach in a cell, each figure for itself."""

    requests_per_second: float
    p99_ms: float


Cells = Mapping[Key, Cell]


def summarise(measurements: Iterable[Measurement]) -> dict[Key, Cell]:
    """Medians over the repetitions, in the order in which the keys came."""
    groups: dict[Key, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        groups[measurement.key].append(measurement)
    return {key: _cell(group) for key, group in groups.items()}


def reference(cells: Cells, model: str, in_flight: int, contestants: Sequence[str]) -> Reference | None:
    """Highest rate and lowest p99 among `contestants`; None where none of them was measured."""
    found = [cells[key] for name in contestants if (key := Key(model, in_flight, name)) in cells]
    if not found:
        return None
    return Reference(max(cell.requests_per_second for cell in found), min(cell.p99_ms for cell in found))


def _cell(group: Sequence[Measurement]) -> Cell:
    loads = [measurement.load for measurement in group]
    return Cell(
        requests_per_second=statistics.median(load.requests_per_second for load in loads),
        p50_ms=statistics.median(load.p50_ms for load in loads),
        p99_ms=statistics.median(load.p99_ms for load in loads),
        errors=sum(load.errors for load in loads),
        checked=sum(measurement.checked for measurement in group),
        wrong=sum(len(measurement.problems) for measurement in group),
    )
