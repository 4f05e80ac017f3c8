"""Most of what the service can answer, for long: no error, and memory that stays where it is."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from services.prediction.flood_guard import resident_bytes
from tests.benchmarks.endurance.overload import Tell, capacity_of
from tests.benchmarks.serving.contestant import Contestant
from tests.benchmarks.serving.load import Load, drive_at
from tests.benchmarks.serving.models import Model, provide
from tests.benchmarks.serving.peers.own import Drivetrain
from tests.benchmarks.serving.server import Server, running
from tests.benchmarks.verdicts import Verdict

MODEL = "mlp"
"""The quickest: the most requests that memory could be lost with."""
SHARE = 0.7
CAPACITY_SECONDS = 5
SLICE_SECONDS = 10
ALLOWED_GROWTH = 1.05
"""Of the resident memory, from the first fifth of the slices to the last."""


@dataclass(frozen=True)
class Slice:
    """Some seconds of the soak."""

    load: Load
    resident_bytes: int
    """The server's, in the end."""


@dataclass(frozen=True)
class Soak:
    """What was measured on one transport."""

    transport: str
    capacity: float
    slices: Sequence[Slice]

    @property
    def growth(self) -> float:
        """Resident memory of the last fifth of the slices to that of the first, medians."""
        fifth = max(1, len(self.slices) // 5)
        first, last = (
            statistics.median(each.resident_bytes for each in part)
            for part in (self.slices[:fifth], self.slices[-fifth:])
        )
        return last / first

    @property
    def requests(self) -> int:
        """All that were sent."""
        return sum(each.load.requests for each in self.slices)

    @property
    def errors(self) -> int:
        """Requests without a good answer."""
        return sum(each.load.errors for each in self.slices)

    @property
    def verdicts(self) -> list[Verdict]:
        """The targets."""
        return [
            Verdict("memory, end to beginning", self.growth, ALLOWED_GROWTH, less_is_better=True),
            Verdict("errors", self.errors, 0, less_is_better=True),
        ]


def soak(transport: str, seconds: int, workplace: Path, tell: Tell) -> Soak:
    """Find out what the service can answer, then keep it at 70 % of that."""
    model = provide(MODEL, workplace / "endurance")
    peer = Drivetrain(("--transport", transport))
    contestant = Contestant(f"soak-{transport}", f"Drivetrain, {transport}", peer, (MODEL,))
    slices: list[Slice] = []
    with running(contestant, model, workplace) as server:
        capacity = capacity_of(server, model, CAPACITY_SECONDS, workplace)
        tell(f"{transport}: {capacity:,.0f} requests a second are what it can answer")
        for number in range(max(1, seconds // SLICE_SECONDS)):
            slices.append(_slice(server, model, round(SHARE * capacity), workplace))
            tell(f"{transport}: {_told(slices[-1], number)}")
    return Soak(transport, capacity, slices)


def _slice(server: Server, model: Model, rate: int, workplace: Path) -> Slice:
    load = drive_at(server, model, rate, SLICE_SECONDS, workplace)
    return Slice(load, resident_bytes(server.pid))


def _told(each: Slice, number: int) -> str:
    figures = f"{each.load.requests_per_second:,.0f} req/s, p99 {each.load.p99_ms:.1f} ms, {each.load.errors} errors"
    return f"{number * SLICE_SECONDS:4} s  {figures}, {each.resident_bytes / 2**20:,.1f} MiB"


def table(results: Sequence[Soak]) -> Table:
    """A row a transport."""
    result = Table(title=f"{SHARE:.0%} of what it can answer, model {MODEL!r}", box=None, pad_edge=False)
    result.add_column("transport")
    for header in ("seconds", "requests", "errors", "p99, ms", "first, MiB", "last, MiB", "x"):
        result.add_column(header, justify="right")
    for each in results:
        p99_ms = statistics.median(part.load.p99_ms for part in each.slices)
        memory = (f"{part.resident_bytes / 2**20:.1f}" for part in (each.slices[0], each.slices[-1]))
        seconds = len(each.slices) * SLICE_SECONDS
        figures = (str(seconds), f"{each.requests:,}", str(each.errors), f"{p99_ms:.1f}", *memory, f"{each.growth:.3f}")
        result.add_row(each.transport, *figures)
    return result
