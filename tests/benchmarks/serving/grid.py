"""The order of the work: repetition by repetition, model by model, the contestants take turns (A B C A B C)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.serving.checker import Checks, checking
from tests.benchmarks.serving.contestant import Contestant
from tests.benchmarks.serving.figures import Key, Measurement
from tests.benchmarks.serving.load import LoadError, drive
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.server import Server, StartError, running


@dataclass(frozen=True)
class Plan:
    """What is measured, and how long."""

    in_flight: Sequence[int]
    seconds: int
    """Whole ones: h2load takes no others."""
    repetitions: int
    connections: int
    """At most; they share the requests in flight evenly."""

    @property
    def warm_up_seconds(self) -> int:
        """A run whose figures nobody reads."""
        return max(1, self.seconds // 3)


def measure(
    plan: Plan,
    models: Sequence[Model],
    contestants: Sequence[Contestant],
    workplace: Path,
    tell_failure: Callable[[str], None],
) -> Iterator[Measurement]:
    """Every cell of the plan, each server started afresh; one that fails is told, and the others go on."""
    for repetition in range(plan.repetitions):
        for model in models:
            for contestant in contestants:
                if model.name not in contestant.models:
                    continue
                try:
                    with running(contestant, model, workplace) as server:
                        yield from _loads(plan, server, contestant, model, repetition, workplace)
                except (StartError, LoadError) as error:
                    tell_failure(f"{contestant.name} with {model.name}: {error}")


def _loads(
    plan: Plan, server: Server, contestant: Contestant, model: Model, repetition: int, workplace: Path
) -> Iterator[Measurement]:
    for in_flight in plan.in_flight:
        drive(server, model, in_flight, plan.warm_up_seconds, plan.connections, workplace)
        with checking(server, model) if contestant.predicts else nullcontext(Checks()) as checks:
            load = drive(server, model, in_flight, plan.seconds, plan.connections, workplace)
        key = Key(model.name, in_flight, contestant.name)
        yield Measurement(key, repetition, load, checks.checked, tuple(checks.problems))
