"""Where rows come from. Each source gives a `Table` and refuses, by name, what training could not use."""

from collections.abc import Mapping
from typing import Any
from zipfile import BadZipFile

import numpy as np
import sklearn.datasets
from numpy.typing import NDArray

from pipelines.data.columns import and_more, read_columns, to_float32
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, Files, find_files, listed, read_csv, read_parquet
from pipelines.data.padding import counted, read_lengths
from pipelines.data.pictures import read_pictures
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.data import (
    CsvSource,
    Data,
    ImagesSource,
    NpzSource,
    ParquetSource,
    SeriesSource,
    SklearnSource,
    SyntheticSource,
    TextSource,
)
from pipelines.spec.objective import Task


def read_table(source: Data, task: Task, seed: int) -> Table:
    """Read the rows that `data` in a spec asks for; `seed` serves the synthetic source. Raises DataError."""
    match source:
        case SklearnSource():
            return _sklearn(source)
        case SyntheticSource():
            return _synthetic(source, task, seed)
        case CsvSource():
            return read_columns(source, read_csv(find_files(source.path, CSV_SUFFIXES), source.categories))
        case ParquetSource():
            return read_columns(source, read_parquet(find_files(source.path, PARQUET_SUFFIXES)))
        case NpzSource():
            return _npz(source)
        case ImagesSource():
            return read_pictures(source)
        case SeriesSource() | TextSource():
            raise AssertionError(f"{type(source).__name__} is no table of rows: load_dataset reads it")


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


def _npz(source: NpzSource) -> Table:
    found = find_files(source.path, (".npz",))
    if len(found.paths) > 1:
        raise DataError("data.path", "one npz archive", f"{len(found.paths)} files")
    try:
        arrays = _read_archive(found)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise DataError("data.path", "an npz archive of plain arrays", str(error)) from error
    for field in ("features", "target", "lengths"):
        name = getattr(source, field)
        if name is not None and name not in arrays:
            raise DataError(f"data.{field}", f"one of the arrays {listed(arrays)}", repr(name))
    features, target = arrays[source.features], arrays[source.target]
    if features.ndim < 2 or target.ndim != 1 or len(features) != len(target) or not len(features):
        came = f"{list(features.shape)} and {list(target.shape)}"
        raise DataError("data.path", "features shaped (rows, ...) and a target shaped (rows,)", came)
    lengths = _lengths(source, arrays)
    numbers, values = _finite(source.features, features, lengths), _present(source.target, target)
    return Table(numbers, values, (), source.target, (), source.path, lengths=lengths)


def _lengths(source: NpzSource, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    if source.lengths is None:
        return None
    num_rows, *row = arrays[source.features].shape
    shape = row if source.shape is None else list(source.shape)
    if len(shape) != 2 or shape[0] != row[0]:
        raise DataError("data.shape", f"[{row[0]}, features], as data.lengths counts steps of a row", str(shape))
    return read_lengths(source.lengths, arrays[source.lengths], num_rows, row[0])


def _read_archive(found: Files) -> dict[str, NDArray[Any]]:
    with found.system.open(found.paths[0], "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise BadZipFile("a single array without a name")
        return {name: np.asarray(archive[name]) for name in archive.files}


def _finite(name: str, array: NDArray[Any], lengths: NDArray[np.int64] | None) -> NDArray[np.float32]:
    if array.dtype.kind not in "biuf":
        raise DataError("data.features", f"numbers in the array {name!r}", str(array.dtype))
    numbers = to_float32(array)
    if lengths is not None:
        numbers[~counted(lengths, numbers.shape[1])] = 0  # whatever fills rows up is neither looked at nor kept
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
        raise DataError("data.path", f"finite numbers in the array {name!r}", f"{place}{and_more(rows.size)}")
