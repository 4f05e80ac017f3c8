"""What every source gives: rows that were checked, before anything is fitted on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.draws import RowIds
from pipelines.data.row_names import BY_NUMBER, RowNames


@dataclass(frozen=True)
class Table:
    """Rows as their source has them, checked to be finite numbers; of columns, numbers may be missing."""

    features: NDArray[np.float32]
    """(N, *row); (N, 0) where the rows are `columns`."""
    target: NDArray[Any]
    """(N,): texts, whole numbers or quantities."""
    feature_names: tuple[str, ...]
    """Columns by name; empty where the source has none."""
    target_name: str
    class_names: tuple[str, ...]
    """Names of the classes 0, 1, … where the source gives them."""
    origin: str
    """What the rows were read from."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """(N, 1) each, by name, in order: float32 with NaN for a missing number, or objects of type str with the empty one
    for a missing category. Empty where all are plain numbers."""
    are_pictures: bool = False
    """Whether the rows are pictures, (channels, height, width) from 0 to 255."""
    lengths: NDArray[np.int64] | None = None
    """(N,) steps that count of series (steps, features), 0 after them; None where all do."""
    first_row: int = 0
    """Of a block of a file: rows that come before it, for messages."""
    ids: RowIds | None = None
    """(N,): where each row is from; None where they are counted through."""
    row_names: RowNames = BY_NUMBER

    def take(self, rows: NDArray[Any]) -> "Table":
        """Some of the rows, by indices or as a mask."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        ids = None if self.ids is None else self.ids[rows]
        return replace(self, features=self.features[rows], target=self.target[rows], columns=columns, ids=ids)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables of the same columns, in one."""
    first = tables[0]
    return replace(
        first,
        features=np.concatenate([table.features for table in tables]),
        target=np.concatenate([table.target for table in tables]),
        columns={name: np.concatenate([table.columns[name] for table in tables]) for name in first.columns},
        ids=None if first.ids is None else np.concatenate([table.ids for table in tables if table.ids is not None]),
    )
