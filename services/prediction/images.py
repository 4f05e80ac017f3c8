"""Encoded images as input: a PNG or JPEG, one BYTES element a row, becomes the values that the model was trained on.

Only what the manifest settles is decoded: size and channels must be the model's own (nothing is resized, cropped,
turned or recoloured behind the client's back), and brightness is scaled as the manifest says. The size is read from
the header before any pixel is, so that a small file cannot become a large array.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.registry.manifest import NUMPY_DTYPES, Tensor
from services.rpc.errors import InvalidRequestError

FORMATS = ("PNG", "JPEG")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's modes by number of channels, 8 bits each."""
BYTE_WHITE = 255

MAX_DECODED_BYTES = 64 * 2**20
"""Most bytes that the images of one request become: they may be packed a thousandfold."""


@dataclass(frozen=True)
class Layout:
    """What one row of an input is as an image."""

    mode: str
    height: int
    width: int
    """-1 for any, as the height."""
    white: float
    row_rank: int
    """3: (C, H, W); 2: (H, W)."""

    @classmethod
    def of(cls, tensor: Tensor) -> Self | None:
        """The layout of an input that takes encoded images; None for any other.

        That is (rows, C, H, W) or (rows, H, W), where the manifest says how bright white is, or the values are bytes.
        """
        row = tensor.shape[1:]
        as_image = (1, *row) if len(row) == 2 else row
        if len(as_image) != 3 or as_image[0] not in MODES:
            return None
        channels, height, width = as_image
        if tensor.image is not None:
            return cls(MODES[channels], height, width, tensor.image.white, len(row))
        are_bytes = tensor.datatype == "UINT8" and -1 not in row
        return cls(MODES[channels], height, width, BYTE_WHITE, len(row)) if are_bytes else None

    @property
    def text(self) -> str:
        """For messages: `RGB 32x32 (width x height)`."""
        width, height = ("any" if length == -1 else str(length) for length in (self.width, self.height))
        return f"{self.mode} {width}x{height} (width x height)"


def decode_images(elements: Sequence[bytes], tensor: Tensor, layout: Layout) -> NDArray[np.generic]:
    """The images as the input's values, `(rows, C, H, W)` or `(rows, H, W)`. Raises InvalidRequestError.

    Blocks for as long as it takes to unpack them; Pillow lets other threads run meanwhile.
    """
    opened = [_opened(element, f"inputs[{tensor.name}], image {row}", layout) for row, element in enumerate(elements)]
    sizes = {image.size for image in opened}
    if len(sizes) > 1:
        raise InvalidRequestError(f"inputs[{tensor.name}]", "images of one size in one request", f"{len(sizes)} sizes")
    dtype, (width, height) = NUMPY_DTYPES[tensor.datatype], opened[0].size
    num_bytes = len(opened) * math.prod((width, height, len(layout.mode))) * max(dtype.itemsize, 4)
    if num_bytes > MAX_DECODED_BYTES:
        limit = f"images of at most {MAX_DECODED_BYTES} bytes in all when decoded"
        raise InvalidRequestError(f"inputs[{tensor.name}]", limit, f"{num_bytes}")
    pixels = [_pixels(image, f"inputs[{tensor.name}], image {row}") for row, image in enumerate(opened)]
    return _values(np.stack(pixels), layout).astype(dtype, copy=False)


def _opened(element: bytes, field: str, layout: Layout) -> Image.Image:
    """The image with its header read, of the right format, mode and size."""
    try:
        image = Image.open(BytesIO(element), formats=FORMATS)
    except Exception as error:  # Pillow's readers raise whatever they meet
        raise InvalidRequestError(field, "a PNG or JPEG", f"{len(element)} bytes that are none") from error
    width, height = image.size
    fits = layout.width in (-1, width) and layout.height in (-1, height)
    if image.mode != layout.mode or not fits:
        raise InvalidRequestError(field, layout.text, f"{image.mode} {width}x{height}")
    return image


def _pixels(image: Image.Image, field: str) -> NDArray[np.uint8]:
    try:
        return np.asarray(image)
    except Exception as error:  # as above
        raise InvalidRequestError(field, f"a whole {image.format}", "one that is cut short or damaged") from error


def _values(pixels: NDArray[np.uint8], layout: Layout) -> NDArray[np.generic]:
    """(rows, H, W) or (rows, H, W, C) bytes to the input's own order and brightness."""
    if pixels.ndim == 4:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    elif layout.row_rank == 3:
        pixels = pixels[:, np.newaxis]
    if layout.white == BYTE_WHITE:
        return pixels
    return pixels.astype(np.float32) / np.float32(BYTE_WHITE) * np.float32(layout.white)
