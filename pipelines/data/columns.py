"""From a frame to a checked table: every column a column of numbers, or of names."""

from collections.abc import Iterable, Sized
from typing import Any, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.draws import RowIds, ids_of, row_ids
from pipelines.data.files import listed
from pipelines.data.row_names import BY_NUMBER, RowNames
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.data import TableSource

_IMPUTE = "data.missing: impute"
"""What a message of a missing value suggests."""

_OTHER_SEPARATORS = ";\t|"


def read_columns(source: TableSource, frame: pd.DataFrame) -> Table:
    """The target and the features that the spec names. Raises DataError, naming column and row.

    Rows are named by the frame's index, plus 1, and the file where that has two levels.
    """
    names = _feature_names(source, frame)
    for name in names:
        _refuse_nesting(name, frame[name])
    check_column(source.target, frame[source.target])
    origin, values = source.path, frame[source.target].to_numpy()
    if not source.by_column:
        features = np.stack([_numbers(name, frame[name], source) for name in names], axis=1)
        return Table(features, values, names, source.target, (), origin, **named_rows(frame))
    columns = {
        name: (_texts if name in source.categories else _numbers)(name, frame[name], source)[:, None] for name in names
    }
    nothing = np.empty((len(frame), 0), np.float32)
    return Table(nothing, values, names, source.target, (), origin, columns, **named_rows(frame))


class NamedRows(TypedDict):
    """Fields of a `Table`."""

    ids: RowIds
    row_names: RowNames


def named_rows(frame: pd.DataFrame) -> NamedRows:
    """Which rows of which files a frame has, as `files.read_csv` gives it."""
    if not isinstance(frame.index, pd.MultiIndex):
        return NamedRows(ids=row_ids(0, 0, len(frame)), row_names=BY_NUMBER)
    files, places = frame.index.codes
    return NamedRows(ids=ids_of(files, places), row_names=RowNames(tuple(frame.index.levels[0])))


def and_more(count: int) -> str:
    """How many more of them there are than the one that a message shows."""
    return f" and in {count - 1} more" if count > 1 else ""


def to_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    """The nearest float32; what it cannot hold turns infinite, to be refused as such."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)


def _feature_names(source: TableSource, frame: pd.DataFrame) -> tuple[str, ...]:
    if len(frame.columns) == 1 and set(_OTHER_SEPARATORS) & set(only := str(frame.columns[0])):
        raise DataError("data.path", "columns separated by commas", f"the single column {only!r}")
    if source.target not in frame.columns:
        raise DataError("data.target", f"one of the columns {listed(frame.columns)}", repr(source.target))
    names = source.features or tuple(str(column) for column in frame.columns if column != source.target)
    for field, asked in (("data.features", names), ("data.categories", source.categories)):
        for name in asked:
            if name not in frame.columns:
                raise DataError(field, f"columns among {listed(frame.columns)}", repr(name))
    if not names or frame.empty:
        came = f"{len(frame)} rows, {len(names)} features"
        raise DataError("data.path", "at least one row and one feature column", came)
    return names


def _refuse_nesting(name: str, column: "pd.Series[Any]") -> None:
    if column.dtype != object:
        return
    for row, value in enumerate(column):
        if isinstance(value, Sized) and not isinstance(value, str):
            came = f"{value!r} in {_place(column, row)}"
            raise DataError("data.path", f"single values in column {name!r}", came)


def _place(column: "pd.Series[Any]", row: int) -> str:
    """How a message names the row at a position."""
    label = column.index[row]
    return f"row {label[1] + 1} of {label[0]}" if isinstance(label, tuple) else f"row {label + 1}"


def _gaps(column: "pd.Series[Any]") -> NDArray[np.bool_]:
    return column.isna().to_numpy(dtype=np.bool_)


def _refuse_gaps(name: str, column: "pd.Series[Any]", gaps: NDArray[np.bool_], remedy: str = "") -> None:
    rows = np.flatnonzero(gaps)
    if rows.size:
        place = f"a missing value (NaN) in {_place(column, rows[0])}"
        expected = f"a value in every row of column {name!r}{f', or {remedy}' if remedy else ''}"
        raise DataError("data.path", expected, f"{place}{and_more(rows.size)}")


def _numbers(name: str, column: "pd.Series[Any]", source: TableSource) -> NDArray[np.float32]:
    return read_numbers(name, column, may_miss=source.missing != "refuse", remedy=_IMPUTE)


def check_column(name: str, column: "pd.Series[Any]") -> None:
    """Refuse nested values and gaps. Raises DataError."""
    _refuse_nesting(name, column)
    refuse_gaps(name, column)


def refuse_gaps(name: str, column: "pd.Series[Any]") -> None:
    """Raise DataError if a value is missing."""
    _refuse_gaps(name, column, _gaps(column))


def read_numbers(
    name: str, column: "pd.Series[Any]", *, may_miss: bool = False, remedy: str = ""
) -> NDArray[np.float32]:
    """(N,), finite; NaN where a value is missing, if one may; `remedy` would allow it. Raises DataError."""
    gaps = _gaps(column)
    if not may_miss:
        _refuse_gaps(name, column, gaps, remedy)
    if column.dtype.kind in "mM":
        raise DataError("data.features", f"finite numbers in column {name!r}", f"times ({column.dtype})")
    try:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:
        raise DataError("data.features", f"numbers below 1e308 in column {name!r}", "a larger one") from error
    single = to_float32(numbers)
    wrong = np.flatnonzero(~np.isfinite(single) & ~gaps)
    if wrong.size:
        value = column.iloc[wrong[0]]
        is_text = isinstance(value, str)
        expected = f"finite numbers in column {name!r}{', or its name in data.categories' if is_text else ''}"
        place = f"{repr(value) if is_text else value} in {_place(column, wrong[0])}"
        raise DataError("data.features", expected, f"{place}{and_more(wrong.size)}")
    return single


def _texts(name: str, column: "pd.Series[Any]", source: TableSource) -> NDArray[np.object_]:
    """(N,), objects of type str; empty where a value is missing, if that is allowed."""
    gaps = _gaps(column)
    values = column.astype(object).to_numpy()
    whole = _are_whole(values[~gaps])
    texts = np.empty(len(values), object)
    for row, (value, gap) in enumerate(zip(values, gaps, strict=True)):
        texts[row] = "" if gap else _text(value, whole)
        if texts[row] is None or "\0" in texts[row]:  # numpy's own texts lose a NUL at their end
            raise DataError(
                "data.categories", f"texts or whole numbers in column {name!r}", f"{value!r} in {_place(column, row)}"
            )
    if source.missing == "refuse":
        _refuse_gaps(name, column, texts == "", _IMPUTE)
    return texts


def _are_whole(values: Iterable[Any]) -> bool:
    """Whether floats are whole numbers, which a gap among them has made floats."""
    return all(float(value).is_integer() for value in values if isinstance(value, float | np.floating))


def _text(value: object, whole: bool) -> str | None:
    """What a client would write for the value; None for what has no one way to be written."""
    match value:
        case str():
            return value
        case bool() | int() | np.integer() | np.bool_():
            return str(value)
        case float() | np.floating() if whole:
            return str(int(value))
        case _:
            return None
