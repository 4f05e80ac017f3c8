"""Writes what some recipes read, from data that is on every machine already: python -m pipelines.data.samples."""

import csv
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image

_BRIGHTEST = 16
"""Of the digits' values; it becomes white."""

_KINDS = {"L": "letter", "M": "mark", "N": "number", "P": "punctuation", "S": "symbol"}
"""By the first letter of Unicode's general category."""

_EVERY = 4
"""Which of the characters are taken: each fourth."""


def write_digits(folder: Path) -> int:
    """Write scikit-learn's handwritten digits as PNG, 8×8 in grey, a folder a class; return how many there are."""
    digits = sklearn.datasets.load_digits()
    pixels = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    for number, (picture, label) in enumerate(zip(pixels, digits.target, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / str(label) / f"{number:04}.png")
    return len(pixels)


def write_character_names(file: Path) -> int:
    """Write names of Unicode's characters with their kinds as CSV; return how many there are.

    Ideographs and syllables, whose names only number them, are left out.
    """
    names = {character: unicodedata.name(character, "") for character in map(chr, range(sys.maxunicode + 1))}
    kinds = {character: _KINDS.get(unicodedata.category(character)[0], "") for character in names}
    rows = [(name, kinds[each]) for each, name in names.items() if kinds[each] and _tells(name)][::_EVERY]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("name", "kind"))
        writer.writerows(rows)
    return len(rows)


def _tells(name: str) -> bool:
    return bool(name) and "IDEOGRAPH" not in name and "HANGUL SYLLABLE" not in name


SAMPLES: dict[str, Callable[[Path], int]] = {"digits": write_digits, "character-names": write_character_names}


def main(arguments: list[str]) -> str:
    """Write the sample that is asked for, and say so; raises SystemExit with the usage."""
    if len(arguments) != 2 or arguments[0] not in SAMPLES:
        raise SystemExit(f"usage: python -m pipelines.data.samples {{{','.join(SAMPLES)}}} PATH")
    return f"{SAMPLES[arguments[0]](Path(arguments[1]))} rows in {arguments[1]}"


if __name__ == "__main__":
    print(main(sys.argv[1:]))
