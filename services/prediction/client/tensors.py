"""Between values and the bytes of the protocol, one tensor at a time, for every datatype of Open Inference.

A cast must keep every value; only a float may be rounded to a narrower float, as all floats are. So 3 becomes 3.0 and
0.1 becomes the nearest FP32, but 2^24 + 1 does not become FP32, 1.5 no integer, and 1e39 no FP32.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import NUMPY_DTYPES
from services.prediction.client.errors import InvalidDataError, MalformedAnswerError
from services.prediction.pb import open_inference_pb2 as pb

Array = NDArray[np.generic]
Mask = NDArray[np.bool_]
Numbers = NDArray[Any]

_DTYPES: Mapping[str, np.dtype] = {str(name): dtype for name, dtype in NUMPY_DTYPES.items()}
_LENGTH_BYTES = 4
"""Before each element of a BYTES tensor, little-endian."""
_FIELDS = {
    "bool_contents": ("BOOL",),
    "int_contents": ("INT8", "INT16", "INT32"),
    "int64_contents": ("INT64",),
    "uint_contents": ("UINT8", "UINT16", "UINT32"),
    "uint64_contents": ("UINT64",),
    "fp32_contents": ("FP32",),
    "fp64_contents": ("FP64",),
    "bytes_contents": ("BYTES",),
}
_CONTENTS_FIELDS = {datatype: field for field, datatypes in _FIELDS.items() for datatype in datatypes}
"""The typed field of each datatype; FP16 and BF16 have none and travel raw."""


def to_array(values: object, datatype: str, field: str) -> Array:
    """`values` as an array of the datatype; BYTES as objects of type bytes, with text in UTF-8.

    Raises InvalidDataError, which names `field`, for other kinds of values and for a cast that would change one.
    """
    if datatype == "BYTES":
        return _to_bytes(values, field)
    if datatype not in _DTYPES:
        raise InvalidDataError(field, "a datatype that this client can write", datatype)
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidDataError(field, f"{datatype} values in rows of one length", str(error)) from error
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(field, f"{datatype} values", f"values of dtype {array.dtype}")
    return _cast(array, datatype, field)


def to_raw(array: Array) -> bytes:
    """What travels: row-major, little-endian; of BYTES (an array of objects) each element after its length."""
    if array.dtype.kind != "O":
        return array.tobytes()
    return b"".join(len(each).to_bytes(_LENGTH_BYTES, "little") + each for each in array.ravel().tolist())


def from_raw(content: bytes, datatype: str, shape: Sequence[int], field: str) -> Array:
    """A read-only view of `content`; a copy of BYTES (objects of type bytes) and of BF16 (as float32).

    Raises MalformedAnswerError for a datatype that nobody knows, and for another number of bytes than the shape needs.
    """
    if datatype == "BYTES":
        return _objects(_split(content, math.prod(shape), field), shape)
    dtype = np.dtype("<u2") if datatype == "BF16" else _DTYPES.get(datatype)
    if dtype is None:
        raise MalformedAnswerError(f"{field}: expected a datatype of Open Inference, came {datatype[:64]!r}")
    num_bytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or len(content) != num_bytes:
        expected = f"{num_bytes} bytes for {datatype} {list(shape)}"
        raise MalformedAnswerError(f"{field}: expected {expected}, came {len(content)} bytes")
    array = np.frombuffer(content, dtype).reshape(shape)
    if datatype == "BF16":  # the upper half of a float32
        return (array.astype("<u4") << np.uint32(16)).view("<f4")
    return array


def from_contents(contents: pb.InferTensorContents, datatype: str, shape: Sequence[int], field: str) -> Array:
    """A new array from typed contents. Raises MalformedAnswerError for values that don't fit datatype or shape."""
    if datatype not in _CONTENTS_FIELDS:
        raise MalformedAnswerError(f"{field}: expected a datatype with typed contents, came {datatype[:64]!r}")
    values = list(getattr(contents, _CONTENTS_FIELDS[datatype]))
    if min(shape, default=0) < 0 or len(values) != math.prod(shape):
        expected = f"{math.prod(shape)} values in {_CONTENTS_FIELDS[datatype]} for {list(shape)}"
        raise MalformedAnswerError(f"{field}: expected {expected}, came {len(values)}")
    if datatype == "BYTES":
        return _objects(values, shape)
    try:
        return np.array(values, _DTYPES[datatype]).reshape(shape)
    except OverflowError as error:  # 8 and 16 bit integers travel in 32 bits
        raise MalformedAnswerError(f"{field}: expected {datatype} values, came {error}") from error


def _cast(array: Array, datatype: str, field: str) -> Array:
    dtype = _DTYPES[datatype]
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):  # what overflows is found below
        cast = array.astype(dtype)
        kinds = (array.dtype.kind.replace("u", "i"), dtype.kind.replace("u", "i"))
        kept = _KEPT[kinds](array, cast)
    if not kept.all():
        position = tuple(int(index) for index in np.argwhere(~kept)[0])
        came = f"{array[position]} at {list(position)}"
        raise InvalidDataError(field, f"values that {datatype} can hold as they are", came)
    return cast


def _kept_whole(array: Numbers, cast: Numbers) -> Mask:
    """Integers within the range of other integers."""
    limits = np.iinfo(cast.dtype)
    return np.asarray((array >= limits.min) & (array <= limits.max))


def _kept_truncated(array: Numbers, cast: Numbers) -> Mask:
    """Floats that are integers; the limits are powers of two, which every float holds."""
    limits = np.iinfo(cast.dtype)
    in_range = (array >= float(limits.min)) & (array < float(limits.max) + 1)
    return np.asarray(np.isfinite(array) & in_range & (np.trunc(array) == array))


def _kept_exact(array: Numbers, cast: Numbers) -> Mask:
    """Integers that a float has; beyond the integers' own range casting back is undefined."""
    limit = float(np.iinfo(array.dtype).max) + 1
    return np.asarray((np.abs(cast) < limit) & (cast.astype(array.dtype) == array))


def _kept_finite(array: Numbers, cast: Numbers) -> Mask:
    """Floats that stay finite, or were not."""
    return np.asarray(np.isfinite(cast) | ~np.isfinite(array))


def _kept_binary(array: Numbers, _: Numbers) -> Mask:
    return np.asarray((array == 0) | (array == 1))


def _kept_all(array: Numbers, _: Numbers) -> Mask:
    return np.ones(array.shape, np.bool_)


_KEPT: dict[tuple[str, str], Callable[[Numbers, Numbers], Mask]] = {
    ("i", "i"): _kept_whole,
    ("f", "i"): _kept_truncated,
    ("i", "f"): _kept_exact,
    ("f", "f"): _kept_finite,
    ("i", "b"): _kept_binary,
    ("f", "b"): _kept_binary,
    ("b", "i"): _kept_all,
    ("b", "f"): _kept_all,
}
"""By the kinds of dtype from and to. (numpy calls every cast from INT64 to FP64 safe, which it is not.)"""


def _to_bytes(values: object, field: str) -> Array:
    array = np.array(values, dtype=object)  # numpy's own bytes lose their trailing zeros
    elements = []
    for position, element in enumerate(array.ravel().tolist()):
        if not isinstance(element, str | bytes):
            raise InvalidDataError(field, "str or bytes", f"{type(element).__name__} as element {position}")
        elements.append(element.encode() if isinstance(element, str) else element)
    return _objects(elements, array.shape)


def _objects(elements: Sequence[bytes], shape: Sequence[int]) -> Array:
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def _split(content: bytes, num_elements: int, field: str) -> list[bytes]:
    elements, position = [], 0
    while position + _LENGTH_BYTES <= len(content):
        start = position + _LENGTH_BYTES
        position = start + int.from_bytes(content[position:start], "little")
        elements.append(content[start:position])
    if position != len(content) or len(elements) != num_elements:
        raise MalformedAnswerError(f"{field}: expected {num_elements} elements, each after its length, came others")
    return elements
