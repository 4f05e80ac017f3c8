"""From single measurements to medians. Pure: nothing here measures."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Key(NamedTuple):
    """What a figure is about."""

    work: str
    contestant: str


@dataclass(frozen=True)
class Measurement:
    """One contestant's way through one work."""

    key: Key
    repetition: int
    rows: int
    """In the training set."""
    steps: int
    """Of the optimizer, an epoch."""
    seconds: tuple[float, ...]
    """Of each epoch's training."""
    loss: float
    """Cross-entropy of the final weights over the validation rows."""
    accuracy: float
    """Likewise, from 0 to 1."""
    peak_bytes: int
    """The most memory that the process had."""

    @property
    def ms_a_step(self) -> float:
        """Of the epochs after the first, which warms up or compiles."""
        return 1e3 * statistics.median(self.seconds[1:]) / self.steps


@dataclass(frozen=True)
class Cell:
    """All repetitions of a key: medians."""

    ms_a_step: float
    rows_per_second: float
    first_epoch_s: float
    loss: float
    accuracy: float
    peak_bytes: float


Cells = Mapping[Key, Cell]


@dataclass(frozen=True)
class Starts:
    """Median seconds from nothing to the first step of a one-worker job on a running Ray."""

    drivetrain_s: float
    torch_trainer_s: float


@dataclass(frozen=True)
class Scaling:
    """Rows a second by number of workers, medians; and how far their curves lie apart."""

    rows_per_second: dict[int, float]
    largest_difference: float
    """Of any loss of any epoch from one worker's, training or validation, as a share of that."""


def read_result(key: Key, repetition: int, file: Path) -> Measurement:
    """What a contestant has left."""
    told = json.loads(file.read_text())
    return Measurement(key=key, repetition=repetition, **(told | {"seconds": tuple(told["seconds"])}))


def summarise(measurements: Iterable[Measurement]) -> dict[Key, Cell]:
    """Medians over the repetitions, in the order in which the keys came."""
    groups: dict[Key, list[Measurement]] = defaultdict(list)
    for measurement in measurements:
        groups[measurement.key].append(measurement)
    return {key: _cell(group) for key, group in groups.items()}


def read_starts(told: Mapping[str, Sequence[float]]) -> Starts:
    """From what `starting` wrote."""
    return Starts(statistics.median(told["drivetrain"]), statistics.median(told["torch-trainer"]))


def read_scaling(told: Mapping[str, Any]) -> Scaling:
    """From what `scaling` wrote."""
    rates = {int(count): statistics.median(rates) for count, rates in told["rows_per_second"].items()}
    one, *others = told["losses"].values()
    return Scaling(rates, max(abs(a - b) / a for other in others for a, b in zip(one, other, strict=True)))


def _cell(group: Sequence[Measurement]) -> Cell:
    ms_a_step = statistics.median(each.ms_a_step for each in group)
    return Cell(
        ms_a_step=ms_a_step,
        rows_per_second=1e3 * group[0].rows / group[0].steps / ms_a_step,
        first_epoch_s=statistics.median(each.seconds[0] for each in group),
        loss=statistics.median(each.loss for each in group),
        accuracy=statistics.median(each.accuracy for each in group),
        peak_bytes=statistics.median(each.peak_bytes for each in group),
    )
