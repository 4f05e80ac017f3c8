"""The values of one tensor: raw bytes or typed contents to an array, and back."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype
from services.prediction import bytes_tensor
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError

CONTENTS_FIELDS: dict[Datatype, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The typed field of each datatype; FP16 has none and travels raw."""

CARRIERS = {
    "bool_contents": np.dtype(np.bool_),
    "int_contents": np.dtype(np.int32),
    "int64_contents": np.dtype(np.int64),
    "uint_contents": np.dtype(np.uint32),
    "uint64_contents": np.dtype(np.uint64),
    "fp32_contents": np.dtype(np.float32),
    "fp64_contents": np.dtype(np.float64),
}
"""What the field of a number holds. numpy is told: of large and small integers together it would make floats."""

Array = NDArray[np.generic]
Contents = bytes | pb.InferTensorContents
"""A tensor's values as they came: raw, or in a typed field."""


def to_array(contents: Contents, datatype: Datatype, shape: tuple[int, ...], name: str) -> Array:
    """The values as a read-only or fresh array of exactly this datatype and shape. Raises InvalidRequestError."""
    if datatype == "BYTES":
        return bytes_tensor.texts(elements(contents, shape, name), shape, _field(contents, name))
    if isinstance(contents, bytes):
        return _from_raw(contents, datatype, shape, name)
    values = np.array(_typed_values(contents, datatype, shape, name), CARRIERS[CONTENTS_FIELDS[datatype]])
    return _narrowed(values, datatype, _field(contents, name)).reshape(shape)


def elements(contents: Contents, shape: tuple[int, ...], name: str) -> list[bytes]:
    """The elements of a BYTES tensor as they came. Raises InvalidRequestError."""
    if isinstance(contents, bytes):
        return bytes_tensor.split(contents, math.prod(shape), _field(contents, name))
    return list(_typed_values(contents, "BYTES", shape, name))


def raw(array: Array) -> bytes:
    """The array's values as raw content: row-major, little-endian."""
    if array.dtype.kind == "O":
        return bytes_tensor.join(bytes_tensor.encoded(array))
    return array.tobytes()


def fill(contents: pb.InferTensorContents, datatype: Datatype, array: Array) -> None:
    """Put the array's values in the field of their datatype."""
    values = bytes_tensor.encoded(array) if array.dtype.kind == "O" else array.ravel().tolist()
    getattr(contents, CONTENTS_FIELDS[datatype]).extend(values)


def _field(contents: Contents, name: str) -> str:
    return f"raw_input_contents for {name}" if isinstance(contents, bytes) else f"inputs[{name}].contents"


def _from_raw(content: bytes, datatype: Datatype, shape: tuple[int, ...], name: str) -> Array:
    dtype = NUMPY_DTYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        wanted = f"{expected} bytes for {datatype} {list(shape)}"
        raise InvalidRequestError(_field(content, name), wanted, f"{len(content)} bytes")
    if datatype == "BOOL" and content.strip(b"\x00\x01"):
        raise InvalidRequestError(_field(content, name), "BOOL bytes 0 or 1", "other bytes")
    return np.frombuffer(content, dtype).reshape(shape)


def _typed_values(
    contents: pb.InferTensorContents, datatype: Datatype, shape: tuple[int, ...], name: str
) -> Sequence[Any]:
    field = _field(contents, name)
    if datatype not in CONTENTS_FIELDS:
        raise InvalidRequestError(field, f"{datatype} in raw_input_contents", "typed contents or nothing")
    wanted = CONTENTS_FIELDS[datatype]
    if wrong := [descriptor.name for descriptor, _ in contents.ListFields() if descriptor.name != wanted]:
        raise InvalidRequestError(field, f"{datatype} values in {wanted}", f"values in {wrong[0]}")
    values: Sequence[Any] = getattr(contents, wanted)
    if len(values) != math.prod(shape):
        raise InvalidRequestError(field, f"{math.prod(shape)} values for {list(shape)}", f"{len(values)} values")
    return values


def _narrowed(values: Array, datatype: Datatype, field: str) -> Array:
    """`values` in the datatype's own width: the protocol carries 8 and 16 bit integers in 32 bit fields."""
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind in "iu" and dtype.itemsize < values.dtype.itemsize:
        limits = np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise InvalidRequestError(field, f"{datatype} values in [{limits.min}, {limits.max}]", "one beyond them")
    return values.astype(dtype, copy=False)
