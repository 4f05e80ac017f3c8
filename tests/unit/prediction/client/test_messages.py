"""Requests as they are sent, and answers as they are read."""

import numpy as np
import pytest

from services.prediction.client import Prediction
from services.prediction.client.errors import InvalidDataError, MalformedAnswerError, MissingOutputError
from services.prediction.client.messages import Ask, read_prediction
from tests.unit.prediction.client.models import NAMED, PAIR, TEXTS, answer


def ask(data: object, **changes: object) -> Ask:
    given: dict[str, object] = {"version": "", "outputs": None, "request_id": "", "priority": None}
    return Ask(model="m", data=data, **given | changes)  # type: ignore[arg-type] # whatever a test gives


def test_a_request_carries_its_inputs_raw() -> None:
    request = ask({"right": [7], "left": [[1, 2]]}, version="3", request_id="r-1").request(PAIR)
    assert (request.model_name, request.model_version, request.id) == ("m", "3", "r-1")
    tensors = [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in request.inputs]
    assert tensors == [("left", "FP32", [1, 2]), ("right", "INT64", [1])]
    assert list(request.raw_input_contents) == [np.array([1, 2], "<f4").tobytes(), (7).to_bytes(8, "little")]
    assert not request.outputs
    assert not request.parameters


def test_texts_are_raw_too() -> None:
    assert list(ask(["ab"]).request(TEXTS).raw_input_contents) == [b"\x02\x00\x00\x00ab"]


def test_outputs_and_priority_are_asked_for() -> None:
    request = ask([[1, 2, 3]], outputs=["class_index"], priority=1).request(NAMED)
    assert [output.name for output in request.outputs] == ["class_index"]
    assert request.parameters["priority"].uint64_param == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": ["odds"]}, "outputs: expected some of 'probabilities', 'class_index', came 'odds'"),
        ({"priority": -1}, "priority: expected 0 for the model's own, or 1 (first) and up, came -1"),
    ],
)
def test_what_cannot_be_asked_for_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        ask([[1, 2, 3]], **changes).request(NAMED)
    assert str(caught.value) == message


def test_an_answer_becomes_arrays_and_labels() -> None:
    response = answer("1", 2, id="r-1")
    response.outputs.add(name="probabilities", datatype="FP32", shape=[2, 2])
    response.raw_output_contents.append(np.array([0.25, 0.75, 0.5, 0.5], "<f4").tobytes())
    prediction = read_prediction(response, NAMED)
    assert (prediction.model, prediction.version, prediction.id) == ("m", "1", "r-1")
    assert prediction.labels == ("yes", "yes")
    assert prediction.probabilities.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert prediction.outputs["class_index"].tolist() == [1, 1]


def test_a_typed_answer_is_read_too() -> None:
    response = answer()
    del response.raw_output_contents[:]
    response.outputs[0].contents.int64_contents.append(0)
    assert read_prediction(response, NAMED).labels == ("no",)


def test_an_output_that_did_not_come_is_named() -> None:
    prediction = read_prediction(answer(), NAMED)
    with pytest.raises(MissingOutputError, match="expected the output 'probabilities', came 'class_index'"):
        _ = prediction.probabilities
    with pytest.raises(MissingOutputError, match="expected the output 'class_index', came none"):
        _ = Prediction("m", "1", {}, class_labels=("no", "yes")).labels


def test_a_quantity_has_no_labels() -> None:
    with pytest.raises(MissingOutputError, match="expected the output 'class_index', came 'prediction'"):
        _ = Prediction("m", "1", {"prediction": np.ones((1, 1))}).labels


def test_an_answer_that_makes_no_sense_is_malformed() -> None:
    response = answer()
    response.raw_output_contents.append(b"")
    with pytest.raises(MalformedAnswerError, match="raw_output_contents: expected 1 entries, came 2"):
        read_prediction(response, NAMED)
    del response.raw_output_contents[:]
    response.raw_output_contents.append((2).to_bytes(8, "little"))
    with pytest.raises(MalformedAnswerError, match=r"outputs\[class_index\]: expected integers from 0 to 1"):
        read_prediction(response, NAMED)
