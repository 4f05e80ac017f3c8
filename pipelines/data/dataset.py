"""A dataset ready for training, as plain arrays: what workers need is light to import and to send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.draws import RowIds
from pipelines.data.encoding import Encoding
from pipelines.data.row_names import BY_NUMBER, RowNames
from pipelines.data.scaling import Scaling
from pipelines.registry.manifest import Text
from pipelines.registry.texts import num_tokens
from pipelines.spec.objective import Task

if TYPE_CHECKING:
    from pipelines.data.plans import Plan  # not for workers: reading takes libraries that training does not

INPUT = "features"
"""What a model's input is called where it is not a column."""
LENGTHS = "lengths"
"""Its second input, where series are filled up to one length: how many steps of each row count."""


@dataclass(frozen=True)
class Rows:
    """One part of the split, in the units of the source."""

    features: NDArray[Any]
    """(N, *row) float32, as the network sees it but for standardisation; of texts token indices (N, T) int64."""
    targets: NDArray[np.int64] | NDArray[np.float32]
    """(N,): class indices or quantities; (N, horizon, variables) of a series."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """(N, 1) each, by name, of which `features` are made; empty where clients send features."""
    lengths: NDArray[np.int64] | None = None
    """(N,) steps that count of series (T, F); None where all do."""
    ids: RowIds | None = None
    """(N,): where each row is from, of a window its first step; None where they are counted through."""

    def __len__(self) -> int:
        return len(self.features)

    def none(self) -> "Rows":
        """Rows like these, but not one of them."""
        return Rows(self.features[:0].copy(), self.targets[:0].copy())

    @property
    def inputs(self) -> Mapping[str, NDArray[Any]]:
        """What a client sends for these rows, by the name of the model's input."""
        if self.lengths is not None:
            return {INPUT: self.features, LENGTHS: self.lengths}
        return self.columns or {INPUT: self.features}


@dataclass(frozen=True)
class Stream:
    """Training rows that stay in their files, of which `Dataset.train` is a sample."""

    plan: "Plan"
    num_rows: int
    """Training rows, all of them."""
    class_counts: tuple[int, ...]
    """Of them, by class; empty for quantities."""
    classes: Mapping[object, int]
    """The index of each class, by what its target is in the files."""


@dataclass(frozen=True)
class Dataset:
    """Everything that later steps know of the data."""

    train: Rows
    """Of streamed data a uniform sample, as of the other parts where they are large."""
    validation: Rows
    test: Rows
    task: Task
    features: Scaling
    """Of the features, fitted on the training rows."""
    target: Scaling
    """Of quantities, fitted on the training rows; the identity for classes."""
    labels: tuple[str, ...]
    feature_names: tuple[str, ...]
    target_name: str
    origin: str
    digest: str
    """Of all rows and their targets; equal data gives equal digests."""
    encoding: Encoding = field(default_factory=Encoding)
    """From columns to features, fitted on the training rows."""
    are_pictures: bool = False
    """Whether rows are pictures, (channels, height, width) from 0 to 255, that were made to fit."""
    season: int | None = None
    """Of a series: the steps after which it is alike."""
    num_relative: int = 0
    """Of a series: so many columns, the first, are told relative to the last step of their window."""
    carries: bool = False
    """Of a series: whether a window may have gaps, which the last value before them fills."""
    text: Text | None = None
    """Of texts: how they became the token indices that `features` are."""
    row_names: RowNames = BY_NUMBER
    """What messages call rows, by their ids."""
    stream: Stream | None = None
    """All training rows, where they are more than memory may hold."""
    memory: str = ""
    """Whether rows stream, and by which figures, for people; empty where there was nothing to choose."""

    @property
    def num_train(self) -> int:
        """How many rows training visits in an epoch."""
        return self.stream.num_rows if self.stream else len(self.train)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row as the network sees it."""
        return self.train.features.shape[1:]

    @property
    def num_outputs(self) -> int | tuple[int, ...]:
        """What the network puts out a row: one value a class, one quantity, or a forecast (horizon, variables)."""
        return self.train.targets.shape[1:] or len(self.labels) or 1

    @property
    def vocabulary(self) -> int | None:
        """Of texts: how many different token indices there are."""
        return None if self.text is None else num_tokens(self.text)

    @property
    def has_lengths(self) -> bool:
        """Whether rows are series that were filled up to one length."""
        return self.train.lengths is not None

    def graph_inputs(self, rows: Rows) -> Mapping[str, NDArray[Any]]:
        """What the graph itself takes for rows: what a client sends, but tokens for texts."""
        return rows.inputs if self.text is None else {INPUT: rows.features}

    @property
    def class_counts(self) -> dict[str, int]:
        """Training rows of each class, by its label; empty for quantities."""
        if not self.labels:
            return {}
        if self.stream:
            return dict(zip(self.labels, self.stream.class_counts, strict=True))
        counts = np.bincount(self.train.targets.astype(np.int64), minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))
