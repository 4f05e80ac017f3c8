"""Where rows come from. Each source gives a `Table` and refuses, by name, what training could not use."""

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import sklearn.datasets
from numpy.typing import NDArray
from pyarrow.lib import ArrowException

from pipelines.errors import DataError
from pipelines.home import datasets_folder
from pipelines.spec.data import (
    CONTENT_SCHEME,
    CsvSource,
    NpzSource,
    ParquetSource,
    SklearnSource,
    SyntheticSource,
    TableSource,
)
from pipelines.spec.objective import Task


@dataclass(frozen=True)
class Table:
    """Rows as their source has them, checked to be finite numbers."""

    features: NDArray[np.float32]
    """(N, *row)"""
    target: NDArray[Any]
    """(N,): texts, whole numbers or quantities."""
    feature_names: tuple[str, ...]
    """Columns by name; empty where the source has none."""
    target_name: str
    class_names: tuple[str, ...]
    """Names of the classes 0, 1, … where the source gives them."""
    origin: str
    """What the rows were read from."""


def read_table(source: SklearnSource | SyntheticSource | TableSource | NpzSource, task: Task, seed: int) -> Table:
    """Read the rows that `data` in a spec asks for; `seed` serves the synthetic source. Raises DataError."""
    match source:
        case SklearnSource():
            return _sklearn(source)
        case SyntheticSource():
            return _synthetic(source, task, seed)
        case CsvSource():
            return _columns(source, _read_file(source.path, _read_csv))
        case ParquetSource():
            return _columns(source, _read_file(source.path, pd.read_parquet))
        case NpzSource():
            return _npz(source)
        case _:
            raise AssertionError(f"no reader for {type(source).__name__}")


def _sklearn(source: SklearnSource) -> Table:
    bunch = getattr(sklearn.datasets, f"load_{source.dataset}")()
    return Table(
        features=bunch.data.astype(np.float32),
        target=bunch.target,
        feature_names=tuple(map(str, bunch.feature_names)),
        target_name="target",
        class_names=tuple(map(str, getattr(bunch, "target_names", ()))),
        origin=f"sklearn:{source.dataset}",
    )


def _synthetic(source: SyntheticSource, task: Task, seed: int) -> Table:
    random = np.random.default_rng(seed)
    features = random.standard_normal((source.rows, source.features), dtype=np.float32)
    outputs = source.classes if task == "classification" else 1
    scores = features @ random.standard_normal((source.features, outputs), dtype=np.float32)
    target = scores.argmax(axis=1) if task == "classification" else scores[:, 0]
    names = tuple(f"x{column}" for column in range(source.features))
    origin = f"synthetic:{source.rows}x{source.features}"
    return Table(features, target, names, "target", (), origin)


def _located(path: Path) -> Path:
    """The file that a spec names, or the one with the uploaded content that it gives the address of."""
    address = str(path)
    if address.startswith(CONTENT_SCHEME):
        content = datasets_folder() / address.removeprefix(CONTENT_SCHEME)
        if not content.is_file():
            raise DataError("data.path", "content that has been uploaded here", f"{address!r}, which has not")
        return content
    if not path.is_file():
        raise DataError("data.path", "an existing file", f"{address!r}, which is not one")
    return path


def _read_file(path: Path, read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    file = _located(path)
    try:
        return read(file)
    except (ValueError, OSError, ArrowException, pd.errors.ParserError) as error:
        raise DataError("data.path", f"a readable {path.suffix.lstrip('.') or 'table'} file", str(error)) from error


def _read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):  # pandas took the first column for row names
        raise ValueError("rows with more values than the header has names")
    return frame


def _columns(source: TableSource, frame: pd.DataFrame) -> Table:
    if source.target not in frame.columns:
        raise DataError("data.target", f"one of the columns {_listed(frame.columns)}", repr(source.target))
    names = source.features or tuple(str(column) for column in frame.columns if column != source.target)
    for name in names:
        if name not in frame.columns:
            raise DataError("data.features", f"columns among {_listed(frame.columns)}", repr(name))
    if not names or frame.empty:
        raise DataError(
            "data.path", "at least one row and one feature column", f"{len(frame)} rows, {len(names)} features"
        )
    for name in (*names, source.target):
        _refuse_nesting(name, frame[name])
    features = np.stack([_numbers(name, frame[name]) for name in names], axis=1)
    target = frame[source.target]
    _refuse_gaps(source.target, target)
    return Table(features, target.to_numpy(), names, source.target, (), str(source.path))


def _refuse_nesting(name: str, column: "pd.Series[Any]") -> None:
    if column.dtype != object:
        return
    for row, value in enumerate(column, start=1):
        if isinstance(value, Sized) and not isinstance(value, str):
            raise DataError("data.path", f"single values in column {name!r}", f"{value!r} in row {row}")


def _numbers(name: str, column: "pd.Series[Any]") -> NDArray[np.float32]:
    _refuse_gaps(name, column)
    if column.dtype.kind in "mM":
        raise DataError("data.features", f"finite numbers in column {name!r}", f"times ({column.dtype})")
    try:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    except OverflowError as error:
        raise DataError("data.features", f"numbers below 1e308 in column {name!r}", "a larger one") from error
    single = _to_float32(numbers)
    wrong = np.flatnonzero(~np.isfinite(single))
    if wrong.size:
        value = column.iloc[wrong[0]]
        place = f"{repr(value) if isinstance(value, str) else value} in row {wrong[0] + 1}"
        raise DataError("data.features", f"finite numbers in column {name!r}", f"{place}{_and_more(wrong.size)}")
    return single


def _to_float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold turns infinite, and is refused as such
        return numbers.astype(np.float32)


def _refuse_gaps(name: str, column: "pd.Series[Any]") -> None:
    gaps = np.flatnonzero(column.isna())
    if gaps.size:
        place = f"a missing value (NaN) in row {gaps[0] + 1}"
        raise DataError("data.path", f"a value in every row of column {name!r}", f"{place}{_and_more(gaps.size)}")


def _npz(source: NpzSource) -> Table:
    file = _located(source.path)
    try:
        arrays = _read_archive(file)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise DataError("data.path", "an npz archive of plain arrays", str(error)) from error
    for field, name in (("data.features", source.features), ("data.target", source.target)):
        if name not in arrays:
            raise DataError(field, f"one of the arrays {_listed(arrays)}", repr(name))
    features, target = arrays[source.features], arrays[source.target]
    if features.ndim < 2 or target.ndim != 1 or len(features) != len(target) or not len(features):
        came = f"{list(features.shape)} and {list(target.shape)}"
        raise DataError("data.path", "features shaped (rows, ...) and a target shaped (rows,)", came)
    return Table(
        _finite(source.features, features), _present(source.target, target), (), source.target, (), str(source.path)
    )


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise BadZipFile("a single array without a name")
        return {name: np.asarray(archive[name]) for name in archive.files}


def _finite(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if array.dtype.kind not in "biuf":
        raise DataError("data.features", f"numbers in the array {name!r}", str(array.dtype))
    numbers = _to_float32(array)
    _refuse_wrong_rows(name, ~np.isfinite(numbers))
    return numbers


def _present(name: str, target: NDArray[Any]) -> NDArray[Any]:
    if target.dtype.kind == "f":
        _refuse_wrong_rows(name, ~np.isfinite(target))
    return target


def _refuse_wrong_rows(name: str, wrong: NDArray[np.bool_]) -> None:
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
    if rows.size:
        place = f"NaN or infinity in row {rows[0] + 1}"
        raise DataError("data.path", f"finite numbers in the array {name!r}", f"{place}{_and_more(rows.size)}")


def _and_more(count: int) -> str:
    return f" and in {count - 1} more" if count > 1 else ""


def _listed(names: Iterable[object], limit: int = 12) -> str:
    texts = [repr(str(name)) for name in names]
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")
