import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype
from services.prediction.contents import CONTENTS_FIELDS, Array, raw
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.rest.messages import Form, read_object, read_request, write_answer
from services.rpc.errors import InvalidRequestError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def tensors(draw: st.DrawFn, datatypes: tuple[Datatype, ...] = tuple(NUMPY_DTYPES)) -> tuple[Datatype, Array]:
    datatype = draw(st.sampled_from(datatypes))
    dtype = NUMPY_DTYPES[datatype]
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=4))
    if datatype == "BYTES":
        return datatype, draw(arrays(object, shape, elements=TEXTS))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    return datatype, draw(arrays(dtype, shape, elements=finite or None))


def body(*inputs: dict[str, Any], **more: object) -> bytes:
    return json.dumps({"inputs": list(inputs)} | more).encode()


def tensor(data: object, datatype: str = "FP32", shape: object = (2,), **more: object) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data} | more


def answer(datatype: Datatype, values: Array) -> pb.ModelInferResponse:
    came = pb.ModelInferResponse(model_name="m", model_version="1", raw_output_contents=[raw(values)])
    came.outputs.add(name="y", datatype=datatype, shape=values.shape)
    return came


@given(tensors(tuple(CONTENTS_FIELDS)), st.booleans())
def test_json_becomes_the_same_bytes_as_raw_contents(sent: tuple[Datatype, Array], nested: bool) -> None:
    datatype, values = sent
    data = values.tolist() if nested else values.ravel().tolist()
    request, _ = read_request(body(tensor(data, datatype, values.shape)), None)
    assert list(request.raw_input_contents) == [raw(values)]
    assert (request.inputs[0].datatype, tuple(request.inputs[0].shape)) == (datatype, values.shape)


@given(tensors(tuple(CONTENTS_FIELDS)))
def test_answers_in_json_hold_the_same_values(given: tuple[Datatype, Array]) -> None:
    datatype, values = given
    head, after = write_answer(answer(datatype, values), Form({}))
    output = json.loads(json.dumps(head, allow_nan=False))["outputs"][0]
    assert (output["data"], output["shape"], after) == (values.ravel().tolist(), list(values.shape), [])


@given(tensors(), tensors())
def test_binary_tensors_follow_the_json_in_their_order(
    first: tuple[Datatype, Array], second: tuple[Datatype, Array]
) -> None:
    contents = [raw(values) for _, values in (first, second)]
    inputs = [
        {
            "name": f"x{index}",
            "datatype": datatype,
            "shape": values.shape,
            "parameters": {"binary_data_size": len(content)},
        }
        for index, ((datatype, values), content) in enumerate(zip((first, second), contents, strict=True))
    ]
    head = body(*inputs)
    request, _ = read_request(head + b"".join(contents), str(len(head)))
    assert list(request.raw_input_contents) == contents
    for index, (datatype, values) in enumerate((first, second)):
        written, after = write_answer(answer(datatype, values), Form({"y": True}))
        assert written["outputs"][0]["parameters"] == {"binary_data_size": len(contents[index])}
        assert after == [contents[index]]


@given(st.binary() | st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_whatever_comes_is_a_request_or_refused(value: object) -> None:
    candidates = (
        [value]
        if isinstance(value, bytes)
        else [
            json.dumps(value).encode(),
            body(tensor(value)),
            body(tensor([1, 2], shape=value)),
            json.dumps({"inputs": value, "outputs": value, "id": value, "parameters": value}).encode(),
            body(tensor([1, 2], parameters={"p": value}), outputs=[{"name": value}]),
        ]
    )
    for candidate in candidates:
        with suppress(InvalidRequestError):
            read_request(candidate, None)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (body(tensor([1, True])), "inputs[x].data: expected numbers for FP32, came also true or false"),
        (body(tensor([1, 1.5], "INT8")), "expected whole numbers for INT8, came also fractions"),
        (body(tensor([1, 128], "INT8")), "expected values that INT8 can hold, came one beyond its range"),
        (body(tensor([1, 1e39])), "expected values that FP32 can hold"),
        (body(tensor([1, 10**400])), "expected values that FP32 can hold"),
        (body(tensor([1, None])), "came also null"),
        (body(tensor([1])), "expected 2 values for [2], came 1 values"),
        (body(tensor([[1, 2]])), "a flat list, or lists nested as the shape [2]"),
        (body(tensor([[1, 2], [3]], shape=[2, 2])), "a flat list, or lists nested as the shape [2, 2]"),
        (body(tensor("no list")), "inputs[x].data: expected a list"),
        (body(tensor([1, 2], "FP16")), "FP16 with binary_data_size"),
        (body(tensor([1, 2], "INT4")), "inputs[x].datatype: expected a datatype that JSON has a form for"),
        (body(tensor([1, 2], shape=[-2])), "inputs[x].shape: expected whole numbers from 0"),
        (body(tensor([1, 2], shape=[2**63])), "inputs[x].shape: expected whole numbers from 0"),
        (body(tensor([1, 2], parameters={"a": None})), "inputs[x].parameters[a]: expected true, false, a number"),
        (body(tensor([1, 2], parameters={"binary_data_size": 8})), "either data or the parameter binary_data_size"),
        (body(tensor(["\ud800", ""], "BYTES")), "half of a surrogate pair"),
        (body({"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}), "0 bytes"),
        (b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [NaN]}]}', "NaN is not JSON"),
        (b"{}", "inputs: expected a list"),
        (b"[]", "body: expected an object"),
        (b"[" * 100_000, "body: expected JSON"),
        (b'{"a": ' + b"1" * 10_000 + b"}", "body: expected JSON"),
        (b"\xff", "body: expected JSON"),
    ],
)
def test_refusals_say_what_was_expected(sent: bytes, text: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        read_request(sent, None)
    assert text in str(refusal.value)


@pytest.mark.parametrize("length", ["-1", "1.5", "", "99999", "٣", "9" * 99])
def test_a_wrong_length_of_the_json_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequestError, match="inference-header-content-length"):
        read_request(body(tensor([1, 2])), length)


def test_bytes_that_belong_to_nothing_are_refused() -> None:
    head = body(tensor([1, 2]))
    with pytest.raises(InvalidRequestError, match="3 bytes more"):
        read_request(head + b"abc", str(len(head)))


def test_parameters_keep_their_types_and_forms_go_no_further() -> None:
    sent = body(
        tensor([1, 2]),
        id="i",
        parameters={"priority": 1, "on": True, "alias": "best", "share": 0.5, "binary_data_output": True},
        outputs=[{"name": "a", "parameters": {"classification": 3, "binary_data": False}}, {"name": "b"}],
    )
    request, form = read_request(sent, None)
    kinds = {name: value.WhichOneof("parameter_choice") for name, value in request.parameters.items()}
    assert kinds == {"priority": "int64_param", "on": "bool_param", "alias": "string_param", "share": "double_param"}
    assert dict(request.outputs[0].parameters) == {"classification": pb.InferParameter(int64_param=3)}
    assert (request.id, form.is_binary("a"), form.is_binary("b")) == ("i", False, True)


@pytest.mark.parametrize("values", [np.array([np.nan], np.float32), np.array([-np.inf], np.float64)])
def test_values_without_a_form_in_json_are_refused(values: Array) -> None:
    with pytest.raises(InvalidRequestError, match="binary_data for NaN and infinity"):
        write_answer(answer("FP32" if values.itemsize == 4 else "FP64", values), Form({}))


def test_half_floats_travel_as_bytes_alone() -> None:
    with pytest.raises(InvalidRequestError, match="binary_data for FP16"):
        write_answer(answer("FP16", np.ones(2, np.float16)), Form({}))


def test_nothing_is_an_empty_object() -> None:
    assert read_object(b"") == {}
