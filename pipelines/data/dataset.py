"""A dataset ready for training, as plain arrays: what workers need is light to import and to send."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.scaling import Scaling
from pipelines.spec.objective import Task


@dataclass(frozen=True)
class Rows:
    """One part of the split, in the units of the source."""

    features: NDArray[np.float32]
    """(N, *row)"""
    targets: NDArray[np.int64] | NDArray[np.float32]
    """(N,): class indices or quantities."""

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class Dataset:
    """Everything that later steps know of the data."""

    train: Rows
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

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row as the network sees it."""
        return self.train.features.shape[1:]

    @property
    def num_outputs(self) -> int:
        """Values that the network puts out a row: one a class, or one quantity."""
        return len(self.labels) or 1
