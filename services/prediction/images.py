"""Encoded images as input: a PNG or JPEG, one BYTES element a row, becomes the values that the model was trained on.

Only what the manifest settles is decoded. Where it says that training made pictures fit, they are made to fit here by
the same code; else size and channels must be the model's own, and nothing is resized or recoloured behind the client's
back. Brightness is scaled as the manifest says. The size is read from the header before any pixel is, so that a small
file cannot become a large array.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.registry.images import EIGHT_BIT_MODES, FORMATS, fit_image
from pipelines.registry.manifest import NUMPY_DTYPES, Tensor
from services.rpc.errors import InvalidRequestError

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
    fits: bool = False
    """Whether pictures of another size and other colours are made to fit."""

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
            fits = tensor.image.fit is not None and -1 not in row
            return cls(MODES[channels], height, width, tensor.image.white, len(row), fits)
        are_bytes = tensor.datatype == "UINT8" and -1 not in row
        return cls(MODES[channels], height, width, BYTE_WHITE, len(row)) if are_bytes else None

    @property
    def text(self) -> str:
        """For messages: `RGB 32x32 (width x height)`."""
        width, height = ("any" if length == -1 else str(length) for length in (self.width, self.height))
        shown = f"{self.mode} {width}x{height} (width x height)"
        return f"any, made to fit {shown}" if self.fits else shown


def decode_images(elements: Sequence[bytes], tensor: Tensor, layout: Layout) -> NDArray[np.generic]:
    """The images as the input's values, `(rows, C, H, W)` or `(rows, H, W)`. Raises InvalidRequestError.

    Blocks for as long as it takes to unpack them; Pillow lets other threads run meanwhile.
    """
    opened = [_opened(element, f"inputs[{tensor.name}], image {row}", layout) for row, element in enumerate(elements)]
    sizes = {image.size for image in opened}
    if len(sizes) > 1 and not layout.fits:
        raise InvalidRequestError(f"inputs[{tensor.name}]", "images of one size in one request", f"{len(sizes)} sizes")
    dtype = NUMPY_DTYPES[tensor.datatype]
    num_bytes = _decoded_bytes(opened, layout, max(dtype.itemsize, 4))
    if num_bytes > MAX_DECODED_BYTES:
        limit = f"images of at most {MAX_DECODED_BYTES} bytes in all when decoded"
        raise InvalidRequestError(f"inputs[{tensor.name}]", limit, f"{num_bytes}")
    pixels = [_pixels(image, f"inputs[{tensor.name}], image {row}", layout) for row, image in enumerate(opened)]
    return _values(np.stack(pixels), layout).astype(dtype, copy=False)


def _decoded_bytes(images: Sequence[Image.Image], layout: Layout, value_bytes: int) -> int:
    """What they take as values; those that are made to fit are bytes before that, one after the other."""
    came = sum(math.prod(image.size) for image in images) * len(layout.mode)
    if not layout.fits:
        return came * value_bytes
    return came + len(images) * layout.height * layout.width * len(layout.mode) * value_bytes


def _opened(element: bytes, field: str, layout: Layout) -> Image.Image:
    """The image with its header read, of the right format, mode and size."""
    try:
        image = Image.open(BytesIO(element), formats=FORMATS)
    except Exception as error:  # Pillow's readers raise whatever they meet
        raise InvalidRequestError(field, "a PNG or JPEG", f"{len(element)} bytes that are none") from error
    width, height = image.size
    if layout.fits:
        if image.mode not in EIGHT_BIT_MODES:
            raise InvalidRequestError(field, "a picture of 8 bits a channel", f"one of Pillow's mode {image.mode}")
        return image
    fits = layout.width in (-1, width) and layout.height in (-1, height)
    if image.mode != layout.mode or not fits:
        raise InvalidRequestError(field, layout.text, f"{image.mode} {width}x{height}")
    return image


def _pixels(image: Image.Image, field: str, layout: Layout) -> NDArray[np.uint8]:
    try:
        if layout.fits:
            return fit_image(image, layout.mode, (layout.height, layout.width))
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
