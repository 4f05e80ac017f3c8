"""Three times the requests that can be answered: who is accepted keeps the latency, the others are told at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from tests.benchmarks.endurance.arrivals import Phase, offer
from tests.benchmarks.serving.contestant import Contestant
from tests.benchmarks.serving.load import LoadError, drive
from tests.benchmarks.serving.models import Model, provide
from tests.benchmarks.serving.peers.own import Drivetrain
from tests.benchmarks.serving.server import Server, running
from tests.benchmarks.verdicts import Verdict

MODEL = "deep"
NORMAL, TOO_MUCH = 0.7, 3.0
"""Loads, as shares of what the service can answer."""
CAPACITY_SECONDS = 5
IN_FLIGHT = 64
ALLOWED_LATENCY = 2.0
"""Times the normal p99 that the accepted requests' p99 may be."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Overload:
    """What was measured on one transport."""

    transport: str
    capacity: float
    """Requests a second with as many in flight as the service likes."""
    normal: Phase
    too_much: Phase

    @property
    def verdicts(self) -> list[Verdict]:
        """The targets."""
        p99 = self.too_much.quantile_ms(99) / self.normal.quantile_ms(99)
        others = self.too_much.codes.total() - self.too_much.codes["OK"] - self.too_much.codes["RESOURCE_EXHAUSTED"]
        failed = self.normal.codes.total() - self.normal.codes["OK"]
        return [
            Verdict(f"accepted p99 under {TOO_MUCH:g}x load to p99 at {NORMAL:.0%}", p99, ALLOWED_LATENCY, True),
            Verdict("neither answered nor RESOURCE_EXHAUSTED", others, 0, True),
            Verdict(f"failed at {NORMAL:.0%}", failed, 0, True),
        ]


def overload(transport: str, seconds: int, workplace: Path, tell: Tell) -> Overload:
    """Find out what the service can answer, load it normally, then too much.

    Under too much load it lets nobody wait longer than the p99 that is normal.
    """
    model = provide(MODEL, workplace / "endurance")
    message = model.request().SerializeToString()
    with running(_server(transport), model, workplace) as server:
        capacity = capacity_of(server, model, CAPACITY_SECONDS, workplace)
        tell(f"{transport}: {capacity:,.0f} requests a second are what it can answer")
        normal = offer(server.address, message, NORMAL * capacity, seconds)
        tell(f"{transport}: p99 {normal.quantile_ms(99):.1f} ms at {NORMAL:.0%} of that")
    wait = ("--max-queue-wait-ms", f"{normal.quantile_ms(99):.3f}")
    with running(_server(transport, *wait), model, workplace) as server:
        offer(server.address, message, TOO_MUCH * capacity, 1.0)  # the pace is learned
        too_much = offer(server.address, message, TOO_MUCH * capacity, seconds)
    return Overload(transport, capacity, normal, too_much)


def capacity_of(server: Server, model: Model, seconds: int, workplace: Path) -> float:
    """Good answers a second with many requests in flight. Raises LoadError if there are others."""
    load = drive(server, model, IN_FLIGHT, seconds, 1, workplace)
    if load.errors:
        raise LoadError(f"{load.errors} of {load.requests} requests failed while the capacity was measured")
    return load.requests_per_second


def table(results: Sequence[Overload]) -> Table:
    """Two rows a transport."""
    result = Table(title=f"one-row requests to the model {MODEL!r}, Poisson arrivals", box=None, pad_edge=False)
    result.add_column("transport")
    for header in ("load", "offered/s", "answered/s", "refused/s", "others", "p50, ms", "p99, ms"):
        result.add_column(header, justify="right")
    for each in results:
        for share, phase in ((NORMAL, each.normal), (TOO_MUCH, each.too_much)):
            result.add_row(each.transport, f"{share:.0%}", *_figures(phase))
    return result


def _figures(phase: Phase) -> tuple[str, ...]:
    refused = phase.codes["RESOURCE_EXHAUSTED"]
    others = phase.codes.total() - phase.codes["OK"] - refused
    latencies = (f"{phase.quantile_ms(percent):.1f}" for percent in (50, 99))
    return (
        f"{phase.rate:,.0f}",
        f"{phase.answered_per_second:,.0f}",
        f"{refused / phase.seconds:,.0f}",
        str(others),
        *latencies,
    )


def _server(transport: str, *options: str) -> Contestant:
    peer = Drivetrain(("--transport", transport, "--threads", "1", *options))  # the client needs the other core
    return Contestant(f"overload-{transport}", f"Drivetrain, {transport}", peer, (MODEL,))
