import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype, Manifest, Tensor
from services.prediction.codec import Inference, decode, encode
from services.prediction.contents import CONTENTS_FIELDS
from services.prediction.contents import raw as raw_content
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import manifest

MAX_ROWS = 8


def one_input(datatype: Datatype, shape: tuple[int, ...] = (-1, 2)) -> Manifest:
    """A manifest with the input `x` and the output `y` of the same kind."""
    changes = {
        "inputs": (Tensor(name="x", datatype=datatype, shape=shape),),
        "outputs": (Tensor(name="y", datatype=datatype, shape=shape),),
    }
    return manifest("m").model_copy(update=changes)


def two_inputs() -> Manifest:
    x, z = Tensor(name="x", datatype="FP32", shape=(-1, 2)), Tensor(name="z", datatype="INT64", shape=(-1,))
    return one_input("FP32").model_copy(update={"inputs": (x, z)})


def raw(name: str, array: np.ndarray, datatype: Datatype) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[raw_content(array)])
    request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    return request


def typed(datatype: str, shape: list[int], **contents: object) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="m")
    tensor = request.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    return request


def values_of(datatype: Datatype) -> np.ndarray:
    values = [["", "a"], ["\0", "é\0"], ["日本", "😀" * 300]] if datatype == "BYTES" else [[0, 1], [1, 0], [1, 1]]
    return np.array(values, object).astype(NUMPY_DTYPES[datatype])


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
def test_raw_contents_of_every_datatype_go_there_and_back(datatype: Datatype) -> None:
    array, described = values_of(datatype), one_input(datatype)
    request = raw("x", array, datatype)
    inference = decode(request, described, MAX_ROWS)
    assert inference.inputs["x"].dtype == NUMPY_DTYPES[datatype]
    np.testing.assert_array_equal(inference.inputs["x"], array)
    answer = encode(request, "1", described, inference, {"y": inference.inputs["x"]})
    assert list(answer.raw_output_contents) == [raw_content(array)]
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == (datatype, [3, 2])


@pytest.mark.parametrize("datatype", CONTENTS_FIELDS)
def test_typed_contents_of_every_datatype_go_there_and_back(datatype: Datatype) -> None:
    array, described = values_of(datatype), one_input(datatype)
    field = CONTENTS_FIELDS[datatype]
    values = [each.encode() if isinstance(each, str) else each for each in array.ravel().tolist()]
    request = typed(datatype, [3, 2], **{field: values})
    inference = decode(request, described, MAX_ROWS)
    assert (inference.inputs["x"].dtype, inference.num_rows) == (NUMPY_DTYPES[datatype], 3)
    answer = encode(request, "1", described, inference, {"y": inference.inputs["x"]})
    assert not answer.raw_output_contents
    assert list(getattr(answer.outputs[0].contents, field)) == values


def test_an_output_that_only_travels_raw_makes_a_typed_answer_raw() -> None:
    described = one_input("FP32").model_copy(update={"outputs": (Tensor(name="y", datatype="FP16", shape=(-1,)),)})
    request = typed("FP32", [1, 2], fp32_contents=[1, 2])
    answer = encode(request, "1", described, decode(request, described, MAX_ROWS), {"y": np.ones(1, np.float16)})
    assert list(answer.raw_output_contents) == [np.ones(1, np.float16).tobytes()]


def test_inputs_may_come_in_any_order() -> None:
    request = raw("z", np.array([5, 6]), "INT64")
    request.inputs.add(name="x", datatype="FP32", shape=[2, 2])
    request.raw_input_contents.append(np.ones((2, 2), np.float32).tobytes())
    inference = decode(request, two_inputs(), MAX_ROWS)
    assert inference.inputs["z"].tolist() == [5, 6]
    assert inference.outputs == ("y",)


def refusal(request: pb.ModelInferRequest, described: Manifest | None = None) -> str:
    with pytest.raises(InvalidRequestError) as error:
        decode(request, described or one_input("FP32"), MAX_ROWS)
    return str(error.value)


ONES = np.ones((1, 2), np.float32)


def test_names() -> None:
    assert refusal(pb.ModelInferRequest()) == "inputs: expected 'x', came nothing for 'x'"
    assert refusal(raw("w", ONES, "FP32")) == "inputs: expected only 'x', came 'w'"
    twice = raw("x", ONES, "FP32")
    twice.inputs.append(twice.inputs[0])
    assert refusal(twice) == "inputs: expected each name once, came 'x' twice"
    assert refusal(raw("x", ONES, "FP32"), two_inputs()) == "inputs: expected 'x', 'z', came nothing for 'z'"
    assert len(refusal(raw("w" * 10_000, ONES, "FP32"))) < 200


def test_datatype_and_shape() -> None:
    assert refusal(raw("x", ONES, "FP64")) == "inputs[x].datatype: expected FP32, came 'FP64'"
    assert refusal(raw("x", ONES[0], "FP32")) == "inputs[x].shape: expected [-1, 2], came 1 dimensions"
    expected = "inputs[x].shape: expected [-1, 2], where -1 is any length from 1, came "
    assert refusal(raw("x", np.ones((1, 3), np.float32), "FP32")) == f"{expected}[1, 3]"
    for length in (0, -1, -(2**63), -2):
        request = raw("x", ONES, "FP32")
        request.inputs[0].shape[0] = length
        assert refusal(request) == f"{expected}[{length}, 2]"


@pytest.mark.parametrize("length", [2**31, 2**61, 2**62, 2**63 - 1])
def test_claimed_sizes_are_never_allocated(length: int) -> None:
    request = raw("x", ONES, "FP32")
    request.inputs[0].shape[0] = length
    assert refusal(request).endswith("came 8 bytes")
    assert refusal(typed("FP32", [length, 2], fp32_contents=[1.0])).endswith("came 1 values")


def test_raw_contents_are_of_exact_size_and_number() -> None:
    short = raw("x", ONES, "FP32")
    short.raw_input_contents[0] = b"\0" * 7
    assert refusal(short) == "raw_input_contents for x: expected 8 bytes for FP32 [1, 2], came 7 bytes"
    many = raw("x", ONES, "FP32")
    many.raw_input_contents.append(b"")
    assert refusal(many) == "raw_input_contents: expected one entry an input, 1, came 2"
    both = raw("x", ONES, "FP32")
    both.inputs[0].contents.fp32_contents.extend([1, 2])
    assert refusal(both) == "inputs: expected either raw_input_contents or contents, came both"
    other = np.array([[1, 2]], np.uint8)
    assert refusal(raw("x", other, "BOOL"), one_input("BOOL")).endswith("expected BOOL bytes 0 or 1, came other bytes")


def test_raw_texts_are_whole_and_utf_8() -> None:
    def refused(content: bytes) -> str:
        request = pb.ModelInferRequest(raw_input_contents=[content])
        request.inputs.add(name="x", datatype="BYTES", shape=[1, 2])
        return refusal(request, one_input("BYTES")).removeprefix("raw_input_contents for x: expected ")

    empty, three = b"\0\0\0\0", b"\3\0\0\0abc"
    assert refused(three) == "2 elements, a length of 4 bytes before each, came 7 bytes"
    assert refused(three + b"\0") == "2 elements, came 1"
    assert refused(three + b"\4\0\0\0abc") == "the bytes of element 1, came 3, of the 4 that its length announces"
    assert refused(b"\xff\xff\xff\xff" + three) == (
        "the bytes of element 0, came 7, of the 4294967295 that its length announces"
    )
    assert refused(empty + three + b"a") == "2 elements, came 1 bytes more"
    assert refused(empty + b"\2\0\0\0a\xff") == "UTF-8 in every element, came element 1 with another byte at 1"


def test_typed_texts_are_utf_8() -> None:
    request = typed("BYTES", [1, 2], bytes_contents=[b"a", b"\xed\xa0\x80"])
    assert refusal(request, one_input("BYTES")).startswith("inputs[x].contents: expected UTF-8 in every element")


def test_shared_memory_is_refused() -> None:
    request = raw("x", ONES, "FP32")
    request.outputs.add(name="y").parameters["shared_memory_region"].string_param = "mine"
    assert "shared_memory_region, which is not supported" in refusal(request)


def test_other_parameters_of_tensors_are_passed_over() -> None:
    request = raw("x", ONES, "FP32")
    request.outputs.add(name="y").parameters["binary_data"].bool_param = True
    request.inputs[0].parameters["colour"].string_param = "red"
    assert decode(request, one_input("FP32"), MAX_ROWS).outputs == ("y",)


def test_typed_contents_are_in_the_right_field_number_and_range() -> None:
    assert refusal(typed("FP32", [1, 2], fp32_contents=[1.0])).endswith("expected 2 values for [1, 2], came 1 values")
    assert refusal(typed("FP32", [1, 2], fp64_contents=[1.0, 2.0])).endswith(
        "expected FP32 values in fp32_contents, came values in fp64_contents"
    )
    assert refusal(typed("INT8", [1, 2], int_contents=[1, 300]), one_input("INT8")).endswith(
        "expected INT8 values in [-128, 127], came one beyond them"
    )
    assert "raw_input_contents" in refusal(typed("FP16", [1, 2]), one_input("FP16"))


def test_rows() -> None:
    too_many = np.ones((MAX_ROWS + 1, 2), np.float32)
    assert refusal(raw("x", too_many, "FP32")) == "inputs: expected at most 8 rows in one request, came 9"
    request = raw("x", ONES, "FP32")
    request.inputs.add(name="z", datatype="INT64", shape=[2])
    request.raw_input_contents.append(b"\0" * 16)
    assert "the same number of rows" in refusal(request, two_inputs())


def test_outputs() -> None:
    request = raw("x", ONES, "FP32")
    request.outputs.add(name="other")
    assert refusal(request) == "outputs: expected only 'y', came 'other'"
    request.outputs[0].name = "y"
    request.outputs.add(name="y")
    assert refusal(request) == "outputs: expected each name once, came 'y' twice"


DATATYPES = st.sampled_from([*NUMPY_DTYPES, "BYTES", "", "fp32"])
INT64 = st.integers(-(2**63), 2**63 - 1)
SHAPES = st.lists(st.one_of(st.integers(-2, 4), INT64), max_size=4)
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "fp32_contents": st.lists(st.floats(width=32), max_size=6),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6),
        "int64_contents": st.lists(INT64, max_size=6),
        "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=6),
        "bytes_contents": st.lists(st.binary(max_size=6), max_size=6),
        "bool_contents": st.lists(st.booleans(), max_size=6),
    },
)


@st.composite
def requests(draw: st.DrawFn) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest()
    for name in draw(st.lists(st.sampled_from(["x", "x", "x", "z", ""]), max_size=3)):
        tensor = request.inputs.add(name=name, datatype=draw(DATATYPES), shape=draw(SHAPES))
        for field, values in draw(CONTENTS).items():
            getattr(tensor.contents, field).extend(values)
    request.raw_input_contents.extend(draw(st.lists(st.binary(max_size=40), max_size=3)))
    return request


def assert_valid(inference: Inference, described: Manifest) -> None:
    for tensor in described.inputs:
        array = inference.inputs[tensor.name]
        assert array.dtype == NUMPY_DTYPES[tensor.datatype]
        assert array.ndim == len(tensor.shape)
        assert all(fixed in (-1, length) for fixed, length in zip(tensor.shape, array.shape, strict=True))
        assert 1 <= len(array) == inference.num_rows <= MAX_ROWS


@given(
    request=requests(), datatype=st.sampled_from([*NUMPY_DTYPES]), shape=st.sampled_from([(-1,), (-1, 2), (-1, -1, 1)])
)
def test_whatever_comes_is_valid_arrays_or_a_refusal(
    request: pb.ModelInferRequest, datatype: Datatype, shape: tuple[int, ...]
) -> None:
    described = one_input(datatype, shape)
    try:
        inference = decode(request, described, MAX_ROWS)
    except InvalidRequestError:
        return
    assert_valid(inference, described)


@given(data=st.binary(max_size=200), rows=st.integers(-1, MAX_ROWS + 1), datatype=st.sampled_from([*NUMPY_DTYPES]))
def test_arbitrary_bytes_of_a_well_formed_tensor(data: bytes, rows: int, datatype: Datatype) -> None:
    request = pb.ModelInferRequest(raw_input_contents=[data])
    request.inputs.add(name="x", datatype=datatype, shape=[rows, 2])
    described = one_input(datatype)
    try:
        inference = decode(request, described, MAX_ROWS)
    except InvalidRequestError:
        return
    assert_valid(inference, described)
    assert raw_content(inference.inputs["x"]) == data
