"""Rows from a file, as the service wants them: CSV with a header, JSON, or NPY."""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.cli.columns import columns_of
from services.cli.errors import InputError
from services.cli.sequences import FEATURES, LENGTHS, padded
from services.prediction.client import ModelMetadata

PICTURES = (".png", ".jpg", ".jpeg")


def check_source(source: str) -> None:
    """Raise InputError unless `source` is a file of a known kind, or "-"."""
    if source == "-":
        return
    if Path(source).suffix.lower() not in (*_READERS, *PICTURES):
        expected = "a .csv, .json or .npy file, a .png or .jpg, or - for JSON on standard input"
        raise InputError(f"ROWS: expected {expected}, came {source!r}")
    if not Path(source).is_file():
        raise InputError(f"ROWS: expected an existing file, came {source!r}")


def read_inputs(
    source: str, model: ModelMetadata
) -> NDArray[np.float32] | dict[str, list[Any]] | dict[str, NDArray[Any]] | list[bytes]:
    """Read what to ask a model: rows as `read_rows` does, columns for one that takes an input a column, or a picture.

    For one that takes lengths, series may have different ones in JSON; in other files all steps count.

    Raises InputError.
    """
    if Path(source).suffix.lower() in PICTURES:
        if not model.encoded_images:
            raise InputError(f"ROWS: expected rows, as the model {model.name!r} takes no pictures, came {source!r}")
        return [_content(source)[0]]
    if model.by_column:
        return columns_of(_records(*_content(source), model.feature_names), model)
    if [tensor.name for tensor in model.inputs] != [FEATURES, LENGTHS]:
        return read_rows(source, model)
    return _read_series(source, model)


def length_warning(inputs: object, model: ModelMetadata) -> str:
    """What to say of series (N, T, F) with another number of steps than the model learned from; empty if it has them.

    Such a question is right, as the network takes any length, but whoever asks may not know the usual one.
    """
    steps = model.trained_steps.get(model.inputs[0].name)
    if steps is None or not isinstance(inputs, np.ndarray) or inputs.ndim != 3 or inputs.shape[1] == steps:
        return ""
    return f"ROWS: {model.name!r} was trained on {steps} steps a row, came {inputs.shape[1]}: it may be further off"


def _read_series(source: str, model: ModelMetadata) -> dict[str, NDArray[Any]]:
    if source == "-" or Path(source).suffix.lower() == ".json":
        return padded(_json_rows(_content(source)[0]), model.inputs[0].shape[-1])
    rows = read_rows(source, model)
    return {FEATURES: rows, LENGTHS: np.full(len(rows), rows.shape[1])}


def read_rows(source: str, model: ModelMetadata) -> NDArray[np.float32]:
    """Read rows (N, *row) from a .csv, .json or .npy file, or JSON from standard input if `source` is "-".

    CSV columns and JSON objects are matched by the model's feature names, extra ones left out. Raises InputError.
    """
    content, suffix = _content(source)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as such
        values = _READERS[suffix](content, model.feature_names)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0]) + 1
        raise InputError(f"ROWS: expected finite numbers, came NaN or infinity in row {row}")
    row_shape = model.inputs[0].shape[1:]
    if len(row_shape) == 2 and values.shape[1:] == (len(model.feature_names),):
        return values[None]  # the steps of one window of a series, whose columns have names
    return _shaped(values, row_shape)


def _content(source: str) -> tuple[bytes, str]:
    """What the file holds, and what its name ends in."""
    check_source(source)
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise InputError(f"ROWS: expected a readable file, came {source!r} ({error.strerror})") from error
    return content, ".json" if source == "-" else Path(source).suffix.lower()


def _shaped(values: NDArray[np.float32], row_shape: Sequence[int]) -> NDArray[np.float32]:
    """Rows may come flat: 64 values for a model that takes 1×8×8."""
    if values.ndim == len(row_shape) + 1:
        return values  # the service checks the axes and names the one that is wrong
    try:
        return values.reshape(len(values), *row_shape)
    except ValueError as error:
        raise InputError(f"ROWS: expected rows shaped {list(row_shape)}, came {list(values.shape[1:])}") from error


def _records(content: bytes, suffix: str, names: Sequence[str]) -> list[Mapping[str, object]]:
    """Rows by column name, each value as it was written."""
    if suffix == ".npy":
        raise InputError("ROWS: expected a .csv or .json file, as the model takes columns by name, came a .npy file")
    if suffix == ".csv":
        return _csv_records(content)
    rows = _json_rows(content)
    if not all(isinstance(row, dict) or (isinstance(row, list) and len(row) == len(names)) for row in rows):
        raise InputError(
            f"ROWS: expected objects by feature name, or lists of {len(names)} values, came something else"
        )
    return [row if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in rows]


def _from_csv(content: bytes, names: Sequence[str]) -> NDArray[np.float32]:
    records = _csv_records(content)
    return _by_name(records, names or tuple(records[0]))


def _csv_records(content: bytes) -> list[Mapping[str, object]]:
    try:
        records: list[Mapping[str, object]] = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"ROWS: expected a CSV file in UTF-8, came {error}") from error
    if not records:
        raise InputError("ROWS: expected a header and at least one row, came an empty file")
    return records


def _json_rows(content: bytes) -> list[Any]:
    try:
        rows = json.loads(content)
    except ValueError as error:
        raise InputError(f"ROWS: expected JSON, came {error}") from error
    if not isinstance(rows, list) or not rows:
        raise InputError("ROWS: expected a list of rows, each a list of numbers or an object by feature name")
    return rows


def _from_json(content: bytes, names: Sequence[str]) -> NDArray[np.float32]:
    rows = _json_rows(content)
    if all(isinstance(row, dict) for row in rows):
        return _by_name(rows, names or tuple(rows[0]))
    try:
        return np.asarray(rows, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("ROWS: expected lists of numbers of one length, came something else among them") from error


def _from_npy(content: bytes, _: Sequence[str]) -> NDArray[np.float32]:
    try:
        array = np.asarray(np.load(io.BytesIO(content), allow_pickle=False), np.float32)
    except (ValueError, TypeError, EOFError) as error:
        raise InputError(f"ROWS: expected an .npy file of numbers, came {error}") from error
    if array.ndim == 0:
        raise InputError("ROWS: expected an array of rows, came a single number")
    return array


def _by_name(records: Sequence[Mapping[str, object]], names: Sequence[str]) -> NDArray[np.float32]:
    values = np.empty((len(records), len(names)), np.float32)
    for number, record in enumerate(records):
        for column, name in enumerate(names):
            if name not in record:
                raise InputError(f"ROWS: expected a column {name!r}, came {', '.join(map(repr, record))}")
            try:
                values[number, column] = float(str(record[name]))
            except ValueError as error:
                came = f"{record[name]!r} in row {number + 1}"
                raise InputError(f"ROWS: expected a number in column {name!r}, came {came}") from error
    return values


_READERS = {".csv": _from_csv, ".json": _from_json, ".npy": _from_npy}
