"""From what a user has (arrays, rows, columns, a DataFrame) to the arrays that a model takes."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from services.prediction.client.description import ModelMetadata, TensorMetadata
from services.prediction.client.errors import InvalidDataError
from services.prediction.client.tensors import Array, to_array


class Frame(Protocol):
    """What a DataFrame of pandas has, or one of its kind: nothing of it is imported."""

    @property
    def columns(self) -> Iterable[Any]:
        """Names of the columns."""

    def __getitem__(self, name: str, /) -> object: ...


Data: TypeAlias = ArrayLike | Mapping[str, ArrayLike] | Sequence[Mapping[str, Any]] | Frame
"""One array or list of rows for a model with one input; a dict of arrays by input name; or columns by feature name, as
a dict, a DataFrame or a list of dicts."""


def as_inputs(data: Data, model: ModelMetadata) -> dict[str, Array]:
    """The model's inputs by name, in its order, each of its datatype and shape.

    Columns are matched by feature name, whatever their order. Raises InvalidDataError, naming the input.
    """
    values = _by_input(data, model)
    _check_names("inputs", "input", [tensor.name for tensor in model.inputs], values)
    arrays = {tensor.name: _array(values[tensor.name], tensor, model) for tensor in model.inputs}
    num_rows = {tensor.name: len(arrays[tensor.name]) for tensor in model.inputs if tensor.shape[:1] == (-1,)}
    if len(set(num_rows.values())) > 1:
        raise InvalidDataError("inputs", "the same number of rows in every input", str(num_rows))
    return arrays


def _by_input(data: Data, model: ModelMetadata) -> Mapping[str, object]:
    if _is_frame(data):
        names = list(data.columns)
        if doubled := {name for name in names if names.count(name) > 1}:
            raise InvalidDataError("columns", "each name once", f"{_quoted(doubled)} more than once")
        return _from_columns({name: data[name] for name in names}, model)
    if _is_records(data):
        return _from_columns(_columns_of(data), model)
    if isinstance(data, Mapping):
        if model.by_column:
            return _from_columns(data, model)
        known = {tensor.name for tensor in model.inputs}
        if known & set(data) or not model.feature_names:
            return data
        return _from_columns(data, model)
    if len(model.inputs) != 1:
        expected = f"a dict of arrays by input name, {_quoted(tensor.name for tensor in model.inputs)}"
        raise InvalidDataError("inputs", expected, f"one {type(data).__name__}")
    return {model.inputs[0].name: data}


def _is_frame(data: object) -> TypeGuard[Frame]:
    return hasattr(data, "columns") and hasattr(data, "__getitem__") and not isinstance(data, Mapping)


def _is_records(data: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(data, list | tuple) and len(data) > 0 and all(isinstance(row, Mapping) for row in data)


def _columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = list(rows[0])
    for number, row in enumerate(rows):
        _check_names(f"row {number}", "column", names, row)
    return {name: [row[name] for row in rows] for name in names}


def _from_columns(columns: Mapping[str, object], model: ModelMetadata) -> dict[str, object]:
    """From columns by feature name: one input `(rows, features)`, one window of a series, or an input a column."""
    if model.by_column:
        _check_names("columns", "column", model.feature_names, columns)
        return {tensor.name: _column(columns[tensor.name], tensor) for tensor in model.inputs}
    if len(model.inputs) != 1 or not model.feature_names:
        why = "several inputs" if len(model.inputs) != 1 else "features without names"
        raise InvalidDataError("inputs", f"arrays, as model {model.name!r} has {why}", "columns by name")
    _check_names("columns", "column", model.feature_names, columns)
    tensor = model.inputs[0]
    arrays = [
        to_array(columns[name], tensor.datatype, f"inputs[{tensor.name}], column {name!r}")
        for name in model.feature_names
    ]
    lengths = {name: array.shape for name, array in zip(model.feature_names, arrays, strict=True)}
    if len(set(lengths.values())) > 1 or arrays[0].ndim != 1:
        raise InvalidDataError("columns", "one value a row, and as many in every column", f"shapes {lengths}")
    table = np.stack(arrays, axis=1)
    return {tensor.name: table[None] if len(tensor.shape) == 3 else table}  # of a series, the rows are one window


def _column(values: object, tensor: TensorMetadata) -> object:
    """`(rows, 1)`. What is missing (None, or NaN) is NaN of a number, and the empty text of a category."""
    try:
        array = np.asarray(values, object if tensor.datatype == "BYTES" else None)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidDataError(f"inputs[{tensor.name}]", "one value a row", str(error)) from error
    if array.dtype == object:
        missing = "" if tensor.datatype == "BYTES" else math.nan
        filled = [missing if _is_missing(value) else value for value in array.ravel().tolist()]
        array = np.array(filled, object if tensor.datatype == "BYTES" else None).reshape(array.shape)
    return array[:, None] if array.ndim == 1 else array


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _check_names(field: str, kind: str, expected: Collection[str], came: Collection[Any]) -> None:
    missing = [name for name in expected if name not in came]
    extra = [name for name in came if name not in expected]
    if missing or extra:
        parts = [f"without {_quoted(missing)}"] * bool(missing) + [f"with {_quoted(extra)} besides"] * bool(extra)
        raise InvalidDataError(field, f"the {kind}s {_quoted(expected)}", " and ".join(parts))


def _array(values: object, tensor: TensorMetadata, model: ModelMetadata) -> Array:
    """As the input wants it; or encoded images, bytes, a row each, for an input that takes those."""
    is_encoded = isinstance(values, list | tuple) and values and all(isinstance(value, bytes) for value in values)
    if is_encoded and tensor.name in model.encoded_images:
        return to_array(values, "BYTES", f"inputs[{tensor.name}]")
    return _checked(values, tensor)


def _checked(values: object, tensor: TensorMetadata) -> Array:
    array = to_array(values, tensor.datatype, f"inputs[{tensor.name}]")
    if tensor.datatype == "BYTES" and tensor.shape == (-1, 1) and array.ndim == 1:
        array = array[:, None]  # texts, one a row
    fits = len(array.shape) == len(tensor.shape) and all(
        length >= 1 and fixed in (-1, length) for length, fixed in zip(array.shape, tensor.shape, strict=True)
    )
    if not fits:
        expected = f"{list(tensor.shape)}, where -1 is any length from 1"
        raise InvalidDataError(f"inputs[{tensor.name}].shape", expected, str(list(array.shape)))
    return array


def _quoted(names: Iterable[object]) -> str:
    return ", ".join(map(repr, names))
