"""One pass over files larger than memory: every row is checked and counted, some are kept to measure by."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Stream
from pipelines.data.draws import uniform
from pipelines.data.loading import digested
from pipelines.data.plans import TRAIN, Piece, Plan, Sample, parts_of
from pipelines.data.ray_blocks import results_of
from pipelines.data.splits import SplitIndices
from pipelines.data.table import Table, joined
from pipelines.data.targets import Targets, check_classes, distinct_classes, encode_target
from pipelines.data.words import WordCounter, Words
from pipelines.errors import DataError
from pipelines.spec.data import Split
from pipelines.spec.training_spec import TrainingSpec

SAMPLE_BYTES = 32 * 2**20
"""Of each part, what is kept in memory."""

_MARGIN = 1.05
"""More rows than wanted pass the first look, and five standard deviations more, so that chance leaves enough."""

Counts = Counter[object]


@dataclass(frozen=True)
class Kept:
    """Rows of one part, and the number from 0 to 1 that each has drawn: those with the lowest are the sample."""

    draws: NDArray[np.float64]
    table: Table

    def lowest(self, count: int) -> "Kept":
        """The rows with the lowest draws, in the order of these."""
        chosen = np.argsort(self.draws, kind="stable")[:count]
        return Kept(self.draws[chosen], self.table.take(chosen))


@dataclass(frozen=True)
class Summary:
    """What is left of a block."""

    digest: bytes
    num_train: int
    classes: Counts
    train_classes: Counts
    words: Words
    """Of training rows."""
    kept: dict[int, Kept]


@dataclass
class _Totals:
    """What the blocks so far come to."""

    limits: dict[int, int]
    num_train: int = 0
    classes: Counts = field(default_factory=Counter)
    train_classes: Counts = field(default_factory=Counter)
    words: WordCounter = field(default_factory=WordCounter)
    kept: dict[int, list[Kept]] = field(default_factory=lambda: {part: [] for part in range(3)})

    def add(self, block: Summary) -> None:
        self.num_train += block.num_train
        self.classes.update(block.classes)
        self.train_classes.update(block.train_classes)
        self.words.add(block.words)
        for part, kept in block.kept.items():
            self.kept[part].append(kept)
            if sum(len(each.draws) for each in self.kept[part]) > 2 * self.limits[part]:
                self.kept[part] = [self.sample(part)]

    def sample(self, part: int) -> Kept:
        parts = self.kept[part]
        together = Kept(np.concatenate([each.draws for each in parts]), joined([each.table for each in parts]))
        return together.lowest(self.limits[part])


def scan(spec: TrainingSpec, plan: Plan, sample_bytes: int = SAMPLE_BYTES) -> Dataset:
    """Read all rows once, with Ray Data; the dataset's parts are samples. Raises DataError, naming column and row."""
    most = max(100, sample_bytes // plan.size.row_bytes)
    limits = _thresholds(plan.size.rows, spec.data.split, most)
    totals = _Totals(dict.fromkeys(range(3), most))
    digest = hashlib.sha256()
    for block in results_of(plan.pieces(), partial(_summaries, plan=plan.bare(), spec=spec, limits=limits)):
        totals.add(block)
        digest.update(block.digest)
    classes = _classes(totals, plan.target_name)
    kept = [_kept(totals, part) for part in range(3)]
    most = max(100, sample_bytes // plan.row_bytes(kept[TRAIN].table, totals.words.words))
    kept = [each.lowest(most) for each in kept]
    sizes = [len(each.draws) for each in kept]
    table = replace(joined([each.table for each in kept]), row_names=plan.row_names)
    split = SplitIndices(*np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1]))
    dataset = plan.dataset(spec, Sample(table, targets_of(table, spec, classes), split, totals.words.words))
    counts = tuple(totals.train_classes[value] for value in classes)
    digest.update("\0".join((*plan.names, plan.target_name, *dataset.labels)).encode())
    stream = Stream(plan, totals.num_train, counts, classes)
    return replace(dataset, digest=digest.hexdigest()[:16], stream=stream)


def targets_of(table: Table, spec: TrainingSpec, classes: dict[object, int]) -> Targets:
    """Targets of a block or a sample; `classes` are those of all rows."""
    if spec.task == "regression":
        return encode_target(table, spec.task)
    values, indices, _ = distinct_classes(table)
    known = [_value(value, classes) for value in values.tolist()]
    places = np.array([classes[value] for value in known], np.int64)
    return Targets(places[indices], tuple(map(str, classes)))


def _value(value: object, classes: dict[object, int]) -> object:
    """Where one block has texts all are texts, also the numbers of a block that has only those. Raises DataError."""
    found = value if value in classes else str(value)
    if found not in classes:
        raise DataError("data.path", "files that stay as they are while a job reads them", f"a new class {found!r}")
    return found


def _thresholds(num_rows: int, shares: Split, most: int) -> dict[int, float]:
    """Up to what draw a row of each part can be among the sample."""
    expected = [num_rows * share for share in (shares.train, shares.validation, shares.test)]
    wanted = _MARGIN * most + 5 * most**0.5
    return {part: min(1.0, wanted / max(1.0, rows)) for part, rows in enumerate(expected)}


def _summaries(piece: Piece, plan: Plan, spec: TrainingSpec, limits: dict[int, float]) -> Iterator[Summary]:
    """In a task of Ray Data."""
    for ids, table in plan.read(piece):
        parts, draws = parts_of(ids, spec.data.split, spec.seed), uniform(spec.seed, "sample", ids)
        training = parts == TRAIN
        classes, train_classes = _counted(table, spec, training)
        chosen = {part: np.flatnonzero((parts == part) & (draws < limit)) for part, limit in limits.items()}
        kept = {part: Kept(draws[rows], table.take(rows)) for part, rows in chosen.items() if len(rows)}
        words = plan.words(table.take(training))
        yield Summary(_digest(table), int(training.sum()), classes, train_classes, words, kept)


def _counted(table: Table, spec: TrainingSpec, training: NDArray[np.bool_]) -> tuple[Counts, Counts]:
    if spec.task == "regression":
        encode_target(table, spec.task)  # for what it refuses
        return Counter(), Counter()
    values, indices, counts = distinct_classes(table)
    of_training = np.bincount(indices[training], minlength=len(values))
    names: list[object] = values.tolist()
    return Counter(dict(zip(names, counts.tolist(), strict=True))), Counter(
        dict(zip(names, of_training.tolist(), strict=True))
    )


def _digest(table: Table) -> bytes:
    digest = hashlib.sha256()
    target = table.target
    if target.dtype.kind == "O":
        target = np.frombuffer("\0".join(map(str, target)).encode(), np.uint8)
    for part in digested(table, target):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.digest()


def _classes(totals: _Totals, target_name: str) -> dict[object, int]:
    """Indices of the classes, in the order that resident rows would give them. Raises DataError."""
    if not totals.classes:
        return {}
    if any(isinstance(value, str) for value in totals.classes):
        totals.classes, totals.train_classes = _as_texts(totals.classes), _as_texts(totals.train_classes)
    values = sorted(totals.classes, key=lambda value: (str(value) if isinstance(value, str) else "", value))
    check_classes(values, [totals.classes[value] for value in values], target_name)
    for value in values:
        if not totals.train_classes[value]:
            came = (
                f"none of the {totals.classes[value]} of class {str(value)!r} (data.memory: resident divides by class)"
            )
            raise DataError("data.split", "training rows of every class", came)
    return {value: place for place, value in enumerate(values)}


def _as_texts(counts: Counts) -> Counts:
    texts: Counts = Counter()
    for value, count in counts.items():
        texts[str(value)] += count
    return texts


def _kept(totals: _Totals, part: int) -> Kept:
    if not totals.kept[part]:
        name = ("train", "validation", "test")[part]
        expected = "rows enough for every part, as each row draws its part by itself when data streams"
        raise DataError(f"data.split.{name}", expected, "none for this part (data.memory: resident divides exactly)")
    return totals.sample(part)
