"""Folders of pictures that look like their class."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"dusk": (90, 40, 120), "leaf": (40, 160, 60), "sand": (220, 190, 120)}


def picture(colour: tuple[int, int, int], height: int, width: int, seed: int) -> Image.Image:
    """Noise around a colour."""
    noise = np.random.default_rng(seed).normal(0, 25, (height, width, 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


def write_album(folder: Path, pictures: int = 12, sizes: tuple[tuple[int, int], ...] = ((9, 7), (6, 12))) -> Path:
    """A folder for each colour, its pictures PNG and JPEG in turn and of these sizes (height, width) in turn."""
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(pictures):
            height, width = sizes[number % len(sizes)]
            suffix = ("png", "jpg")[number % 2]
            picture(colour, height, width, number).save(folder / label / f"{number:02}.{suffix}", quality=95)
    return folder
