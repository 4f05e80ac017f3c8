"""Tensors of BYTES: elements of any length. Raw, each has its length before it: four bytes, little-endian.

Elements are bytes on the wire. A model's own are texts: arrays of objects of type str, which is what onnxruntime takes
and gives.
"""

import struct
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.rpc.errors import InvalidRequestError

LENGTH = struct.Struct("<I")


def split(content: bytes, count: int, field: str) -> list[bytes]:
    """The `count` elements that `content` must hold exactly. Raises InvalidRequestError, which names `field`."""
    if count * LENGTH.size > len(content):
        raise InvalidRequestError(field, f"{count} elements, a length of 4 bytes before each", f"{len(content)} bytes")
    elements: list[bytes] = []
    position = 0
    for _ in range(count):
        start = position + LENGTH.size
        if start > len(content):
            raise InvalidRequestError(field, f"{count} elements", f"{len(elements)}")
        position = start + LENGTH.unpack_from(content, start - LENGTH.size)[0]
        if position > len(content):
            came = f"{len(content) - start}, of the {position - start} that its length announces"
            raise InvalidRequestError(field, f"the bytes of element {len(elements)}", came)
        elements.append(content[start:position])
    if position != len(content):
        raise InvalidRequestError(field, f"{count} elements", f"{len(content) - position} bytes more")
    return elements


def join(elements: Iterable[bytes]) -> bytes:
    """The raw content of these elements."""
    return b"".join(part for element in elements for part in (LENGTH.pack(len(element)), element))


def texts(elements: Sequence[bytes], shape: tuple[int, ...], field: str) -> NDArray[np.object_]:
    """The elements as an array of str. Raises InvalidRequestError for what is not UTF-8."""
    array = np.empty(len(elements), object)
    for position, element in enumerate(elements):
        try:
            array[position] = element.decode()
        except UnicodeDecodeError as error:
            where = f"element {position} with another byte at {error.start}"
            raise InvalidRequestError(field, "UTF-8 in every element", where) from error
    return array.reshape(shape)


def encoded(array: NDArray[np.generic]) -> list[bytes]:
    """The elements of an array of str or bytes, row-major."""
    return [each if isinstance(each, bytes) else each.encode() for each in array.ravel().tolist()]
