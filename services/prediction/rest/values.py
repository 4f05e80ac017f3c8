"""One tensor between JSON and raw contents: lists, nested as the shape or flat, to bytes and back."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from pipelines.registry.manifest import NUMPY_DTYPES
from services.prediction import bytes_tensor
from services.prediction.contents import CONTENTS_FIELDS, Array
from services.rpc.errors import InvalidRequestError

KINDS: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true and false"),
    "i": ({int}, "whole numbers"),
    "u": ({int}, "whole numbers"),
    "f": ({int, float}, "numbers"),
    "O": ({str}, "strings"),
}
"""What JSON has for each kind of datatype. Python takes true for 1, JSON does not."""


def to_raw(data: object, datatype: str, shape: Sequence[int], name: str) -> bytes:
    """The raw content of the values in a request. Raises InvalidRequestError.

    One form for all tensors of a request, as the protocol has no mixture of raw and typed ones; what it does not know
    of the model is checked by the codec, as for every transport.
    """
    field = f"inputs[{name[:64]}].data"
    if datatype not in CONTENTS_FIELDS:
        known = f"a datatype that JSON has a form for ({', '.join(CONTENTS_FIELDS)}); FP16 with binary_data_size"
        raise InvalidRequestError(f"inputs[{name[:64]}].datatype", known, repr(datatype[:64]))
    values = _flat(data, shape, field)
    dtype = NUMPY_DTYPES[datatype]
    types, meant = KINDS[dtype.kind]
    if others := {*map(type, values)} - types:
        raise InvalidRequestError(field, f"{meant} for {datatype}", f"also {_named(others)}")
    if datatype == "BYTES":
        return bytes_tensor.join(_encoded(values, field))
    return _numbers(values, dtype, datatype, field).tobytes()


def from_raw(content: bytes, datatype: str, shape: Sequence[int], name: str) -> list[Any]:
    """The values of an answer, flat. Raises InvalidRequestError for what JSON cannot say: the client asked for JSON."""
    field = f"outputs[{name[:64]}]"
    if datatype == "BYTES":
        return [each.decode() for each in bytes_tensor.split(content, math.prod(shape), field)]
    if datatype not in CONTENTS_FIELDS:
        raise InvalidRequestError(field, f"binary_data for {datatype}", "JSON, which has no form for it")
    array = np.frombuffer(content, NUMPY_DTYPES[datatype])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequestError(field, "binary_data for NaN and infinity", "JSON, which has no form for them")
    values: list[Any] = array.tolist()
    return values


def _flat(data: object, shape: Sequence[int], field: str) -> list[Any]:
    if not isinstance(data, list):
        raise InvalidRequestError(field, "a list", _named({type(data)}))
    values: list[Any] = data
    if data and isinstance(data[0], list):
        values = _unnested(data, shape, field)
    if len(values) != math.prod(shape):
        raise InvalidRequestError(field, f"{math.prod(shape)} values for {list(shape)[:8]}", f"{len(values)} values")
    return values


def _unnested(data: list[Any], shape: Sequence[int], field: str) -> list[Any]:
    """Level by level, as many as the shape has: a request cannot nest deeper than that."""
    values = [data]
    for length in shape:
        if any(not isinstance(each, list) or len(each) != length for each in values):
            raise InvalidRequestError(field, f"a flat list, or lists nested as the shape {list(shape)[:8]}", "others")
        values = list(chain.from_iterable(values))
    return values


def _encoded(values: Sequence[str], field: str) -> list[bytes]:
    try:
        return [each.encode() for each in values]
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
        raise InvalidRequestError(field, "strings of whole characters", "half of a surrogate pair") from error


def _numbers(values: list[Any], dtype: "np.dtype[Any]", datatype: str, field: str) -> Array:
    expected = f"values that {datatype} can hold"
    wide = np.dtype(np.float64) if dtype.kind == "f" else dtype
    try:
        array = np.array(values, wide)
    except OverflowError as error:
        raise InvalidRequestError(field, expected, "one beyond its range") from error
    with np.errstate(over="ignore"):
        narrow: Array = array.astype(dtype, copy=False)
    if dtype.kind == "f" and not np.isfinite(narrow).all():
        raise InvalidRequestError(field, expected, "one beyond its range")
    return narrow


def _named(types: set[type]) -> str:
    names = {bool: "true or false", int: "whole numbers", float: "fractions", str: "strings", dict: "objects"}
    return ", ".join(sorted(names.get(each, "null" if each is type(None) else "lists") for each in types))
