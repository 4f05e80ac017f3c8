"""Whole conversations, with the service's part read from a script."""

from collections.abc import Sequence
from typing import TypeVar

import grpc
import pytest

from services.prediction.client.description import ModelMetadata
from services.prediction.client.dialogue import MAX_KNOWN, MAX_ROUNDS, Dialogue
from services.prediction.client.errors import (
    DeadlineError,
    InvalidDataError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
    UnknownModelError,
    UnreachableError,
)
from services.prediction.client.inputs import Data
from services.prediction.client.messages import Ask, Prediction
from services.prediction.client.retry import NO_RETRIES, RetryPolicy
from services.prediction.client.steps import Call, Done, Flow, advance
from services.prediction.pb import open_inference_pb2 as pb
from tests.unit.prediction.client.answers import Answered
from tests.unit.prediction.client.models import FEATURES, NAMED, answer, model, tensor

T = TypeVar("T")
AWAY = Answered(grpc.StatusCode.UNAVAILABLE, "the server is stopping")
REFUSAL = Answered(grpc.StatusCode.INVALID_ARGUMENT, "inputs: expected others")
WIDE = model(tensor("features", "FP32", 2), version="2", feature_names=("a", "b"))
TURNED = model(FEATURES, version="2", feature_names=("c", "b", "a"))
NEXT = model(FEATURES, version="2", feature_names=("a", "b", "c"), labels=("nein", "ja"))
COLUMNS = {"a": [1.0], "b": [2.0], "c": [3.0]}


def told(described: ModelMetadata) -> pb.ModelMetadataResponse:
    """The metadata as the service sends it."""
    message = pb.ModelMetadataResponse(name=described.name, versions=described.versions)
    for field, tensors in ((message.inputs, described.inputs), (message.outputs, described.outputs)):
        for each in tensors:
            field.add(name=each.name, datatype=each.datatype, shape=each.shape)
    for name in ("feature_names", "labels"):
        message.properties[name] = str(list(getattr(described, name))).replace("'", '"')
    return message


def dialogue(retry: RetryPolicy = NO_RETRIES) -> Dialogue:
    return Dialogue("localhost:1", 5.0, retry)


def play(flow: Flow[T], *outcomes: object) -> tuple[T, list[Call]]:
    """The result, and the calls that led there; pauses take no time here."""
    script, calls = iter(outcomes), []
    step = advance(flow, None)
    while not isinstance(step, Done):
        if isinstance(step, Call):
            calls.append(step)
            step = advance(flow, next(script))
        else:
            step = advance(flow, None)
    assert list(script) == []
    return step.result, calls


def predict(it: Dialogue, data: Data, *outcomes: object, version: str = "") -> tuple[Prediction, list[Call]]:
    return play(it.predict(Ask("m", version, data, None, "", None), None), *outcomes)


def methods(calls: Sequence[Call]) -> list[str]:
    return [call.method for call in calls]


def sent(call: Call) -> list[float]:
    """The row of a request with one."""
    assert isinstance(call.request, pb.ModelInferRequest)
    return [float(each) for each in memoryview(call.request.raw_input_contents[0]).cast("f")]


def test_metadata_is_read_once() -> None:
    it = dialogue()
    _, calls = predict(it, COLUMNS, told(NAMED), answer())
    assert methods(calls) == ["ModelMetadata", "ModelInfer"]
    prediction, calls = predict(it, COLUMNS, answer())
    assert methods(calls) == ["ModelInfer"]
    assert prediction.labels == ("yes",)


def test_asking_for_metadata_asks_the_service() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer())
    found, calls = play(it.metadata("m", ""), told(NEXT))
    assert (found.version, methods(calls)) == ("2", ["ModelMetadata"])


def test_versions_are_known_apart() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer())
    _, calls = predict(it, [[1, 2]], told(WIDE), answer("2"), version="2")
    assert methods(calls) == ["ModelMetadata", "ModelInfer"]
    _, calls = predict(it, COLUMNS, answer("1"), version="1")
    assert methods(calls) == ["ModelInfer"]


def test_an_answer_of_another_version_has_the_labels_of_that_version() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer("1"))
    prediction, calls = predict(it, COLUMNS, answer("2"), told(NEXT))
    assert methods(calls) == ["ModelInfer", "ModelMetadata"]
    assert (prediction.version, prediction.labels) == ("2", ("ja",))
    _, calls = predict(it, COLUMNS, answer("2"))
    assert methods(calls) == ["ModelInfer"]


def test_a_version_that_is_known_already_needs_no_question() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer("1"))
    predict(it, COLUMNS, answer("2"), told(NEXT))
    prediction, calls = predict(it, COLUMNS, answer("1"))
    assert (prediction.labels, methods(calls)) == (("yes",), ["ModelInfer"])


def test_columns_in_another_order_are_sent_again() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer("1"))
    prediction, calls = predict(it, COLUMNS, answer("2"), told(TURNED), answer("2"))
    assert methods(calls) == ["ModelInfer", "ModelMetadata", "ModelInfer"]
    assert [sent(calls[0]), sent(calls[2])] == [[1, 2, 3], [3, 2, 1]]
    assert prediction.version == "2"


def test_a_refusal_makes_it_look_again_at_what_the_model_takes() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer("1"))
    _, calls = predict(it, COLUMNS, REFUSAL, told(TURNED), answer("2"))
    assert methods(calls) == ["ModelInfer", "ModelMetadata", "ModelInfer"]
    with pytest.raises(RefusedError, match="inputs: expected others"):
        predict(it, COLUMNS, REFUSAL, told(TURNED))


def test_data_for_the_next_version_is_not_refused_by_what_was_known_of_the_last() -> None:
    it = dialogue()
    predict(it, COLUMNS, told(NAMED), answer("1"))
    _, calls = predict(it, [[1.0, 2.0]], told(WIDE), answer("2"))
    assert methods(calls) == ["ModelMetadata", "ModelInfer"]
    with pytest.raises(InvalidDataError, match=r"expected \[-1, 2\], .* came \[1, 3\]"):
        predict(it, [[1.0, 2.0, 3.0]], told(WIDE))


def test_of_a_service_that_lists_several_versions_the_one_that_answered_is_asked_for() -> None:
    it = dialogue()
    both = told(NEXT)
    both.versions[:] = ["1", "2"]
    first = told(NAMED)
    first.versions[:] = ["1", "2"]
    prediction, calls = predict(it, COLUMNS, both, answer("1"), both, first)
    assert methods(calls) == ["ModelMetadata", "ModelInfer", "ModelMetadata", "ModelMetadata"]
    assert (prediction.version, prediction.labels) == ("1", ("yes",))


def test_a_service_without_versions_is_believed() -> None:
    it = dialogue()
    unnamed = told(NAMED)
    del unnamed.versions[:]
    assert predict(it, COLUMNS, unnamed, answer("1"))[0].version == "1"
    assert predict(it, COLUMNS, answer(""))[0].version == ""


def test_a_model_that_never_rests_is_given_up() -> None:
    it, versions = dialogue(), [str(number) for number in range(2 * MAX_ROUNDS + 1)]
    outcomes: list[object] = [told(model(FEATURES, version=versions[0]))]
    for answered, described in zip(versions[1::2], versions[2::2], strict=True):
        outcomes += [answer(answered), told(model(FEATURES, version=described))]
    with pytest.raises(UnavailableError, match="the versions of model 'm' change too fast"):
        predict(it, [[1, 2, 3]], *outcomes)


def test_what_is_known_does_not_grow_without_end() -> None:
    it = dialogue()
    for number in range(2 * MAX_KNOWN):
        play(it.metadata("m", str(number)), told(model(FEATURES, version=str(number))))
    assert len(it._known) <= MAX_KNOWN + 1


def test_unavailable_is_tried_again_with_what_time_is_left() -> None:
    _, calls = predict(dialogue(RetryPolicy()), COLUMNS, AWAY, AWAY, told(NAMED), AWAY, answer())
    assert methods(calls) == ["ModelMetadata"] * 3 + ["ModelInfer"] * 2
    times = [call.timeout_s for call in calls]
    assert times == sorted(times, reverse=True)
    assert 4 < times[0] <= 5


@pytest.mark.parametrize(
    ("status", "kind"), [("NOT_FOUND", UnknownModelError), ("DEADLINE_EXCEEDED", DeadlineError)], ids=str
)
def test_anything_else_is_not(status: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        predict(dialogue(RetryPolicy()), COLUMNS, Answered(grpc.StatusCode[status]))
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_the_last_attempt_tells_why_and_how_many_there_were() -> None:
    with pytest.raises(UnavailableError, match=r"the server is stopping \(3 attempts\)"):
        predict(dialogue(RetryPolicy(max_attempts=3)), COLUMNS, AWAY, AWAY, AWAY)
    nobody = Answered(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")
    with pytest.raises(UnreachableError):
        predict(dialogue(), COLUMNS, nobody)


@pytest.mark.parametrize("status", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND"])
def test_a_probe_asks_once_and_says_no(status: str) -> None:
    it, no = dialogue(RetryPolicy()), Answered(grpc.StatusCode[status])
    assert [play(flow, no)[0] for flow in (it.is_live(), it.is_ready(), it.is_model_ready("m", ""))] == [False] * 3


def test_a_probe_that_is_not_allowed_is_an_error() -> None:
    with pytest.raises(UnauthenticatedError):
        play(dialogue().is_model_ready("m", ""), Answered(grpc.StatusCode.UNAUTHENTICATED))
