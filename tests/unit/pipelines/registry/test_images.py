"""One way from a picture to pixels."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from pipelines.registry.images import fit_image

PIXELS = np.random.default_rng(3).integers(0, 256, (6, 4, 3), np.uint8)


def test_a_picture_of_the_right_size_and_colours_keeps_its_pixels() -> None:
    np.testing.assert_array_equal(fit_image(Image.fromarray(PIXELS), "RGB", (6, 4)), PIXELS)
    np.testing.assert_array_equal(fit_image(Image.fromarray(PIXELS), "RGB"), PIXELS)


def test_half_the_size_is_the_mean_of_what_it_covers() -> None:
    flat = np.repeat(np.repeat(np.array([[0, 100], [50, 250]], np.uint8), 8, axis=0), 8, axis=1)
    shrunk = fit_image(Image.fromarray(flat), "L", (8, 8))
    assert shrunk.shape == (8, 8)
    assert [shrunk[0, 0], shrunk[0, 7], shrunk[7, 0], shrunk[7, 7]] == [0, 100, 50, 250]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize(("wanted", "shape"), [("L", (5, 7)), ("RGB", (5, 7, 3))])
def test_every_8_bit_mode_becomes_the_wanted_one(mode: str, wanted: str, shape: tuple[int, ...]) -> None:
    assert fit_image(Image.fromarray(PIXELS).convert(mode), wanted, (5, 7)).shape == shape


def test_a_picture_is_turned_as_its_camera_says() -> None:
    upright = Image.fromarray(PIXELS)
    file = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    upright.save(file, "PNG", exif=exif)
    turned = fit_image(Image.open(file), "RGB")
    np.testing.assert_array_equal(turned, np.rot90(PIXELS, k=-1))
