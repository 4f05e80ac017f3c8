"""Series that were filled up to one length: how many steps of each row count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.columns import and_more
from pipelines.errors import DataError


def read_lengths(name: str, array: NDArray[Any], num_rows: int, num_steps: int) -> NDArray[np.int64]:
    """(N,), from 1 to the steps of a row. Raises DataError."""
    expected = f"a whole number from 1 to {num_steps} a row in the array {name!r}"
    if array.dtype.kind not in "iu":
        raise DataError("data.lengths", expected, str(array.dtype))
    if array.shape != (num_rows,):
        raise DataError("data.lengths", expected, f"{list(array.shape)} for {num_rows} rows")
    wrong = np.flatnonzero((array < 1) | (array > num_steps))
    if wrong.size:
        raise DataError("data.lengths", expected, f"{array[wrong[0]]} in row {wrong[0] + 1}{and_more(wrong.size)}")
    return array.astype(np.int64)


def counted(lengths: NDArray[np.int64], num_steps: int) -> NDArray[np.bool_]:
    """(N, T): which steps are within their row's length."""
    return np.asarray(np.arange(num_steps) < lengths[:, None], np.bool_)
