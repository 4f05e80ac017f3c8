"""How a picture becomes pixels of the size and colours that a model takes: the same in training and in serving."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG")

EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
"""Those of Pillow's modes that another 8-bit mode can be made of without guessing at a scale."""


def fit_image(image: Image.Image, mode: str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(H, W) for the mode L or (H, W, 3) for RGB, of `size` (height, width) where one is given.

    The picture is turned as its EXIF data say, recoloured, and stretched: each pixel is the mean of what it covers,
    weighted by distance (Pillow's bilinear filter). Raises whatever Pillow's readers meet.
    """
    turned = ImageOps.exif_transpose(image).convert(mode)
    if size is not None:
        turned = turned.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(turned)
