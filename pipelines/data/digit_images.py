"""Writes scikit-learn's handwritten digits as PNG files: python -m pipelines.data.digit_images FOLDER."""

import sys
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image

_BRIGHTEST = 16
"""Of the digits' values; it becomes white."""


def write_digits(folder: Path) -> int:
    """Write each digit, 8×8 pixels in grey, into a folder named by its class; return how many there are."""
    digits = sklearn.datasets.load_digits()
    pixels = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    for number, (picture, label) in enumerate(zip(pixels, digits.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / str(label) / f"{number:04}.png")
    return len(pixels)


if __name__ == "__main__":
    print(f"{write_digits(Path(sys.argv[1]))} pictures in {sys.argv[1]}")
