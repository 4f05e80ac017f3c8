from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pipelines.registry.images import fit_image
from pipelines.registry.manifest import NUMPY_DTYPES, Datatype, Image, Manifest, Tensor
from services.prediction import images
from services.prediction.bytes_tensor import join
from services.prediction.codec import decode, takes_long
from services.prediction.images import Layout
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import manifest

RANDOM = np.random.default_rng(7)
RGB, GRAY = RANDOM.integers(0, 256, (2, 5, 4, 3), np.uint8), RANDOM.integers(0, 256, (2, 5, 4), np.uint8)


def taking(shape: tuple[int, ...], white: float | None = 1.0, datatype: Datatype = "FP32") -> Manifest:
    image = None if white is None else Image(white=white)
    tensor = Tensor(name="pixels", datatype=datatype, shape=shape, image=image)
    return manifest("m").model_copy(update={"inputs": (tensor,)})


def png(pixels: NDArray[np.uint8], mode: str | None = None, format_: str = "PNG") -> bytes:
    file = BytesIO()
    image = PillowImage.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(file, format_)
    return file.getvalue()


def request(elements: list[bytes], shape: list[int] | None = None, *, is_raw: bool = True) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="pixels", datatype="BYTES", shape=shape or [len(elements)])
    if is_raw:
        message.raw_input_contents.append(join(elements))
    else:
        tensor.contents.bytes_contents.extend(elements)
    return message


def decoded(message: pb.ModelInferRequest, described: Manifest) -> NDArray[Any]:
    return decode(message, described, 8).inputs["pixels"]


def refusal(message: pb.ModelInferRequest, described: Manifest) -> str:
    with pytest.raises(InvalidRequestError) as error:
        decode(message, described, 8)
    return str(error.value)


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_colours_become_planes(shape: list[int], *, is_raw: bool) -> None:
    came = decoded(request([png(each) for each in RGB], shape, is_raw=is_raw), taking((-1, 3, 5, 4)))
    assert came.dtype == np.float32
    np.testing.assert_array_equal(came, RGB.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("row", [(1, 5, 4), (5, 4)])
@pytest.mark.parametrize("white", [255.0, 16.0])
def test_brightness_is_the_manifests(row: tuple[int, ...], white: float) -> None:
    came = decoded(request([png(each) for each in GRAY]), taking((-1, *row), white))
    expected = (GRAY.astype(np.float64) * white / 255).reshape(2, *row)
    np.testing.assert_allclose(came, expected, rtol=1e-6)


@pytest.mark.parametrize("datatype", ["FP16", "FP64", "UINT8", "INT32"])
def test_every_datatype_that_can_hold_them(datatype: Datatype) -> None:
    came = decoded(request([png(each) for each in RGB]), taking((-1, 3, 5, 4), 255, datatype))
    assert came.dtype == NUMPY_DTYPES[datatype]
    np.testing.assert_array_equal(came, RGB.transpose(0, 3, 1, 2))


def test_jpeg_and_transparency() -> None:
    smooth = np.full((16, 16), 200, np.uint8)
    came = decoded(request([png(smooth, format_="JPEG")]), taking((-1, 1, 16, 16), 255))
    np.testing.assert_allclose(came, 200, atol=2)
    came = decoded(request([png(RGB[0], "RGBA")]), taking((-1, 4, 5, 4), 255))
    np.testing.assert_array_equal(came[0, 3], 255)


def test_open_sizes_take_any_but_one_in_a_request() -> None:
    described = taking((-1, 3, -1, -1), 255)
    assert decoded(request([png(RGB[0])]), described).shape == (1, 3, 5, 4)
    two = request([png(RGB[0]), png(RGB[0, 1:])])
    assert refusal(two, described) == "inputs[pixels]: expected images of one size in one request, came 2 sizes"


def test_another_size_or_mode_is_refused_and_never_adapted() -> None:
    described = taking((-1, 3, 5, 4))
    expected = "inputs[pixels], image 1: expected RGB 4x5 (width x height), came "
    assert refusal(request([png(RGB[0]), png(RGB[1, 1:])]), described) == f"{expected}RGB 4x4"
    for mode in ("L", "P", "RGBA", "LA", "1"):
        assert refusal(request([png(RGB[0]), png(RGB[1], mode)]), described) == f"{expected}{mode} 4x5"


@pytest.mark.parametrize("format_", ["GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_other_formats_are_refused(format_: str) -> None:
    assert "image 0: expected a PNG or JPEG" in refusal(request([png(RGB[0], format_=format_)]), taking((-1, 3, 5, 4)))


def test_damaged_images_are_refused() -> None:
    whole, described = png(RANDOM.integers(0, 256, (64, 64, 3), np.uint8)), taking((-1, 3, 64, 64))
    assert "expected a PNG or JPEG, came 0 bytes" in refusal(request([b""]), described)
    assert "expected a whole PNG" in refusal(request([whole[:-500]]), described)
    assert "expected a PNG or JPEG" in refusal(request([whole[:20]]), described)


def test_a_small_file_cannot_become_a_large_array(monkeypatch: pytest.MonkeyPatch) -> None:
    large = png(np.zeros((4000, 4000), np.uint8))
    assert len(large) < 20_000
    assert "came L 4000x4000" in refusal(request([large]), taking((-1, 1, 28, 28)))
    described = taking((-1, 1, -1, -1))
    assert refusal(request([large] * 2), described).endswith("when decoded, came 128000000")
    monkeypatch.setattr(images, "MAX_DECODED_BYTES", 100)
    assert "at most 100 bytes" in refusal(request([png(RGB[0])]), taking((-1, 3, 5, 4)))


def test_rows_are_counted_before_anything_is_decoded() -> None:
    text = "inputs[pixels].shape: expected [rows] or [rows, 1] of encoded images, at most 8 rows, came "
    assert refusal(request([b""] * 9), taking((-1, 3, 5, 4))) == f"{text}[9]"
    for shape in ([1, 3, 5, 4], [1, 2], [0, 1], [-1]):
        assert refusal(request([b""], shape), taking((-1, 3, 5, 4))) == f"{text}{shape}"


@pytest.mark.parametrize(
    ("shape", "datatype", "white", "mode"),
    [
        ((-1, 3, 5, 4), "FP32", 1.0, "RGB"),
        ((-1, 3, 5, 4), "UINT8", None, "RGB"),
        ((-1, 5, 4), "UINT8", None, "L"),
        ((-1, 5, 4), "FP32", 1.0, "L"),
        ((-1, 3, 5, 4), "FP32", None, None),  # nothing says whether white is 1 or 255
        ((-1, -1, 4), "UINT8", None, None),  # a sequence
        ((-1, 2, 5, 4), "FP32", 1.0, None),
        ((-1, 4), "FP32", 1.0, None),
        ((-1,), "UINT8", None, None),
        ((-1, 1, 3, 5, 4), "UINT8", None, None),
    ],
)
def test_which_inputs_take_images(
    shape: tuple[int, ...], datatype: Datatype, white: float | None, mode: str | None
) -> None:
    layout = Layout.of(taking(shape, white, datatype).inputs[0])
    assert (None if layout is None else layout.mode) == mode


def test_other_inputs_take_no_images() -> None:
    text = refusal(request([png(RGB[0])], [1]), taking((-1, 3, 5, 4), None))
    assert text == "inputs[pixels].datatype: expected FP32, came 'BYTES'"


def test_only_what_takes_long_goes_to_a_thread() -> None:
    small, large = taking((-1, 3, 5, 4)), taking((-1, 3, 224, 224))
    assert not takes_long(request([png(RGB[0])]), small)
    assert takes_long(request([png(RGB[0])]), large)
    assert takes_long(request([b"x" * 20_000]), small)
    plain = pb.ModelInferRequest(raw_input_contents=[b"x" * 20_000])
    plain.inputs.add(name="pixels", datatype="FP32", shape=[1000, 5])
    assert not takes_long(plain, large)


@given(data=st.binary(max_size=300), position=st.integers(0, 120), is_jpeg=st.booleans())
def test_whatever_comes_is_an_array_or_a_refusal(data: bytes, position: int, *, is_jpeg: bool) -> None:
    whole = png(RGB[0], format_="JPEG" if is_jpeg else "PNG")
    mangled = whole[:position] + data + whole[position + len(data) // 2 :]
    try:
        came = decoded(request([mangled]), taking((-1, 3, 5, 4)))
    except InvalidRequestError:
        return
    assert came.shape == (1, 3, 5, 4)


def fitting(shape: tuple[int, ...] = (-1, 3, 5, 4)) -> Manifest:
    described = taking(shape, 255)
    tensor = described.inputs[0].model_copy(update={"image": Image(white=255, fit="stretch")})
    return described.model_copy(update={"inputs": (tensor,)})


def test_pictures_are_made_to_fit_where_training_did_it() -> None:
    large = RANDOM.integers(0, 256, (40, 64, 3), np.uint8)
    came = decoded(request([png(RGB[0]), png(large), png(GRAY[0])]), fitting())
    expected = [fit_image(PillowImage.fromarray(each), "RGB", (5, 4)) for each in (RGB[0], large, GRAY[0])]
    np.testing.assert_array_equal(came, np.stack(expected).transpose(0, 3, 1, 2))
    came = decoded(request([png(large)]), fitting((-1, 1, 5, 4)))
    np.testing.assert_array_equal(came[0, 0], fit_image(PillowImage.fromarray(large), "L", (5, 4)))


def test_what_cannot_be_made_to_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = png(RANDOM.integers(0, 60_000, (5, 4), np.uint16))
    assert refusal(request([deep]), fitting()).endswith(
        "image 0: expected a picture of 8 bits a channel, came one of Pillow's mode I;16"
    )
    whole = png(RANDOM.integers(0, 256, (64, 64, 3), np.uint8))
    assert "expected a whole PNG" in refusal(request([whole[:-500]]), fitting())
    monkeypatch.setattr(images, "MAX_DECODED_BYTES", 12_000)
    assert refusal(request([whole]), fitting()).endswith("in all when decoded, came 12528")


def test_what_is_made_to_fit_goes_to_a_thread() -> None:
    assert takes_long(request([png(RGB[0])]), fitting())
    assert fitting().model_dump_json(exclude_none=True).count("stretch") == 1
    assert "fit" not in taking((-1, 3, 5, 4)).inputs[0].model_dump(exclude_none=True)["image"], "as older services read"
