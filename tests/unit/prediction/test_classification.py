import numpy as np
import pytest

from pipelines.registry.manifest import Manifest, Tensor
from services.prediction.classification import top_classes
from services.prediction.codec import decode, encode
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import manifest

ROWS = np.array([[0.1, 0.2, 0.3], [-1.0, 0.5, 0.25]], np.float32)


def asking(output: str, **parameter: object) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(raw_input_contents=[ROWS.tobytes()])
    request.inputs.add(name="features", datatype="FP32", shape=ROWS.shape)
    request.outputs.add(name=output).parameters["classification"].CopyFrom(pb.InferParameter(**parameter))  # type: ignore[arg-type]  # of any kind
    return request


def test_the_highest_come_first_with_index_and_label() -> None:
    scores = np.array([[0.125, 0.625, 0.25], [0.5, 0.25, 0.25]], np.float32)
    assert top_classes(scores, 2, ["a", "b", "c:d"]).tolist() == [
        ["0.625000:1:b", "0.250000:2:c:d"],
        ["0.500000:0:a", "0.250000:1:b"],
    ]


def test_labels_are_left_out_unless_there_is_one_a_score() -> None:
    assert top_classes(np.array([[1.5, 2.5]], np.float64), 1, ["a"]).tolist() == [["2.500000:1"]]
    assert top_classes(np.array([3, 4]), 5, ["a", "b"]).tolist() == [["3:0"], ["4:0"]]


@pytest.mark.parametrize("kind", ["u1", "u8", "i1", "i8"])
def test_integers_of_every_kind_in_order(kind: str) -> None:
    limits = np.iinfo(kind)
    scores = np.array([[limits.min, limits.max, 7, limits.max]], kind)
    expected = [f"{limits.max}:1", f"{limits.max}:3", "7:2", f"{limits.min}:0"]
    assert top_classes(scores, 9, []).tolist() == [expected]


def test_nan_is_last_and_booleans_are_numbers() -> None:
    assert top_classes(np.array([[np.nan, 1, np.inf]], np.float16), 3, []).tolist() == [
        ["inf:2", "1.000000:1", "nan:0"]
    ]
    assert top_classes(np.array([[False, True]]), 2, []).tolist() == [["1:1", "0:0"]]


def test_the_answer_is_bytes_raw_or_typed() -> None:
    described, request = manifest("m"), asking("probabilities", int64_param=1)
    outputs = {"probabilities": np.array([[0.25, 0.75], [1, 0]], np.float32)}
    answer = encode(request, "1", described, decode(request, described, 8), outputs)
    assert (answer.outputs[0].datatype, list(answer.outputs[0].shape)) == ("BYTES", [2, 1])
    assert list(answer.raw_output_contents) == [b"\x0e\0\0\x000.750000:1:yes\x0d\0\0\x001.000000:0:no"]
    request.ClearField("raw_input_contents")
    request.inputs[0].contents.fp32_contents.extend(ROWS.ravel().tolist())
    answer = encode(request, "1", described, decode(request, described, 8), outputs)
    assert list(answer.outputs[0].contents.bytes_contents) == [b"0.750000:1:yes", b"1.000000:0:no"]


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ({"string_param": "1"}, "expected int64_param, came string_param"),
        ({}, "expected int64_param, came nothing"),
        ({"int64_param": 0}, "expected at least 1, came 0"),
        ({"int64_param": -3}, "expected at least 1, came -3"),
    ],
)
def test_other_values_are_refused(parameter: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        decode(asking("probabilities", **parameter), manifest("m"), 8)
    assert str(error.value) == f"outputs[probabilities].parameters[classification]: {text}"


def test_texts_are_no_classes() -> None:
    text = Tensor(name="text", datatype="BYTES", shape=(-1,))
    described: Manifest = manifest("m").model_copy(update={"outputs": (text,)})
    with pytest.raises(InvalidRequestError, match="BYTES, which have no order"):
        decode(asking("text", int64_param=1), described, 8)
