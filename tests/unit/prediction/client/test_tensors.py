"""Values to bytes and back, for every datatype, raw and typed; which casts are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prediction.client.errors import InvalidDataError, MalformedAnswerError
from services.prediction.client.tensors import from_contents, from_raw, to_array, to_raw
from services.prediction.pb import open_inference_pb2 as pb

FLOATS = ("FP16", "FP32", "FP64")
SIGNED = ("INT8", "INT16", "INT32", "INT64")
UNSIGNED = ("UINT8", "UINT16", "UINT32", "UINT64")


@pytest.mark.parametrize("datatype", [*FLOATS, *SIGNED, *UNSIGNED, "BOOL"])
def test_what_was_written_is_read_again(datatype: str) -> None:
    array = to_array([[0, 1, 1], [1, 0, 1]], datatype, "x")
    read = from_raw(to_raw(array), datatype, (2, 3), "x")
    assert read.dtype == array.dtype
    assert read.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert not read.flags.writeable


@given(st.lists(st.one_of(st.binary(max_size=20), st.text(max_size=20)), min_size=1, max_size=6))
def test_bytes_of_any_kind_are_read_again(elements: list[str | bytes]) -> None:
    read = from_raw(to_raw(to_array(elements, "BYTES", "x")), "BYTES", (len(elements),), "x")
    assert read.tolist() == [each.encode() if isinstance(each, str) else each for each in elements]


def test_bytes_travel_after_their_length_in_little_endian() -> None:
    assert to_raw(to_array([["é"], [b"\x00"]], "BYTES", "x")) == b"\x02\x00\x00\x00\xc3\xa9\x01\x00\x00\x00\x00"


def test_a_column_of_texts_need_not_be_a_list() -> None:
    assert to_array(np.array(["ab", "c"]), "BYTES", "x").tolist() == [b"ab", b"c"]


@pytest.mark.parametrize("values", [[1], [None], [["a"], ["b", "c"]], [b"a", 2.0]])
def test_other_things_than_text_are_no_bytes(values: object) -> None:
    with pytest.raises(InvalidDataError, match=r"^x: expected str or bytes, came (int|NoneType|list|float) as element"):
        to_array(values, "BYTES", "x")


def test_numbers_are_little_endian_and_row_major() -> None:
    big = np.array([[1, 2], [3, 4]], ">i2").T
    assert to_raw(to_array(big, "INT16", "x")) == b"\x01\x00\x03\x00\x02\x00\x04\x00"


@pytest.mark.parametrize(
    ("values", "datatype", "expected"),
    [
        ([1, -2], "FP32", [1.0, -2.0]),
        ([2**24], "FP32", [2.0**24]),
        ([True, False], "FP32", [1.0, 0.0]),
        ([0.1], "FP32", [np.float32(0.1)]),
        ([1e-50], "FP32", [0.0]),
        ([np.nan, np.inf], "FP16", [np.nan, np.inf]),
        ([1.0, -128.0], "INT8", [1, -128]),
        ([127], "INT8", [127]),
        ([2.0**62], "INT64", [2**62]),
        ([2**63], "FP32", [2.0**63]),
        ([0, 1], "BOOL", [False, True]),
        ([0.0, 1.0], "BOOL", [False, True]),
        (np.array([255], np.uint8), "INT16", [255]),
        (np.array([255], np.uint64), "UINT8", [255]),
    ],
)
def test_a_cast_that_keeps_every_value_is_done(values: object, datatype: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(to_array(values, datatype, "x"), expected)


@pytest.mark.parametrize(
    ("values", "datatype", "came"),
    [
        ([0, 2**24 + 1], "FP32", "16777217 at [1]"),
        ([[1.0], [1e39]], "FP32", "1e+39 at [1, 0]"),
        ([70000.0], "FP16", "70000.0 at [0]"),
        ([70000], "FP16", "70000 at [0]"),
        ([1.5], "INT64", "1.5 at [0]"),
        ([2.0**63], "INT64", "9.223372036854776e+18 at [0]"),
        ([np.nan], "INT32", "nan at [0]"),
        ([-np.inf], "INT32", "-inf at [0]"),
        (np.array([-np.inf], np.float16), "INT64", "-inf at [0]"),
        ([128], "INT8", "128 at [0]"),
        ([-1], "UINT64", "-1 at [0]"),
        ([2**63 - 1], "FP64", "9223372036854775807 at [0]"),
        (np.array([2**64 - 1], np.uint64), "INT64", "18446744073709551615 at [0]"),
        ([2], "BOOL", "2 at [0]"),
        ([0.5], "BOOL", "0.5 at [0]"),
    ],
)
def test_a_cast_that_changes_a_value_is_refused(values: object, datatype: str, came: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        to_array(values, datatype, "inputs[x]")
    assert str(caught.value) == f"inputs[x]: expected values that {datatype} can hold as they are, came {came}"


@pytest.mark.parametrize(
    ("values", "came"),
    [
        (["a"], "values of dtype <U1"),
        ([1, None], "values of dtype object"),
        ([1j], "values of dtype complex128"),
        ([2**70], "values of dtype object"),
        (np.array(["2026-01-01"], "datetime64[D]"), "values of dtype datetime64[D]"),
    ],
)
def test_other_things_than_numbers_are_named(values: object, came: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        to_array(values, "FP32", "x")
    assert (caught.value.expected, caught.value.came) == ("FP32 values", came)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="expected FP32 values in rows of one length, came"):
        to_array([[1.0], [2.0, 3.0]], "FP32", "x")


def test_a_datatype_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="x: expected a datatype that this client can write, came BF16"):
        to_array([1.0], "BF16", "x")


def test_bf16_is_read_as_float32() -> None:
    content = np.array([1.5, -2.0], "<f4").view("<u4") >> 16
    read = from_raw(content.astype("<u2").tobytes(), "BF16", (2,), "x")
    assert read.dtype == np.float32
    assert read.tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("field", "datatype", "values"),
    [
        ("bool_contents", "BOOL", [True, False]),
        *(("int_contents", datatype, [-1, 2]) for datatype in SIGNED[:3]),
        ("int64_contents", "INT64", [-(2**60), 1]),
        *(("uint_contents", datatype, [1, 2]) for datatype in UNSIGNED[:3]),
        ("uint64_contents", "UINT64", [2**63, 1]),
        ("fp32_contents", "FP32", [0.5, 1.5]),
        ("fp64_contents", "FP64", [0.1, 1e300]),
        ("bytes_contents", "BYTES", [b"a", b"\x00"]),
    ],
)
def test_typed_contents_are_read_too(field: str, datatype: str, values: list[object]) -> None:
    contents = pb.InferTensorContents()
    getattr(contents, field).extend(values)
    read = from_contents(contents, datatype, (2, 1), "x")
    assert read.tolist() == [[each] for each in values]
    assert read.dtype == (object if datatype == "BYTES" else to_array([0], datatype, "x").dtype)


@pytest.mark.parametrize(
    ("content", "datatype", "shape", "message"),
    [
        (b"123", "FP32", (1,), "x: expected 4 bytes for FP32 [1], came 3 bytes"),
        (b"", "FP32", (-1, 0), "x: expected 0 bytes for FP32 [-1, 0], came 0 bytes"),
        (b"1234", "FP32", (-1, -1), "x: expected 4 bytes for FP32 [-1, -1], came 4 bytes"),
        (b"1234", "FP8", (1,), "x: expected a datatype of Open Inference, came 'FP8'"),
        (b"\x02\x00\x00\x00a", "BYTES", (1,), "x: expected 1 elements, each after its length, came others"),
        (b"\x00\x00\x00\x00\x01", "BYTES", (1,), "x: expected 1 elements, each after its length, came others"),
        (b"\x00\x00\x00\x00", "BYTES", (2,), "x: expected 2 elements, each after its length, came others"),
    ],
)
def test_a_malformed_raw_answer_is_named(content: bytes, datatype: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        from_raw(content, datatype, shape, "x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("contents", "datatype", "message"),
    [
        (pb.InferTensorContents(fp32_contents=[1]), "FP32", "expected 2 values in fp32_contents for [2], came 1"),
        (pb.InferTensorContents(fp32_contents=[1, 2]), "FP64", "expected 2 values in fp64_contents for [2], came 0"),
        (pb.InferTensorContents(), "FP16", "expected a datatype with typed contents, came 'FP16'"),
        (pb.InferTensorContents(int_contents=[1, 300]), "INT8", "expected INT8 values, came "),
    ],
)
def test_a_malformed_typed_answer_is_named(contents: pb.InferTensorContents, datatype: str, message: str) -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        from_contents(contents, datatype, (2,), "x")
    assert str(caught.value).startswith(f"x: {message}")


def test_a_negative_length_is_no_shape() -> None:
    with pytest.raises(MalformedAnswerError):
        from_contents(pb.InferTensorContents(fp32_contents=[1]), "FP32", (-1, -1), "x")
