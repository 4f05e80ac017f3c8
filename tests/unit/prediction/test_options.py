import math
import time

import pytest

from services.prediction.options import Options, options_of
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError


def asking(**typed: tuple[str, object]) -> pb.ModelInferRequest:
    """A request with parameters by name, each of a type and a value."""
    request = pb.ModelInferRequest()
    for name, (kind, value) in typed.items():
        setattr(request.parameters[name], kind, value)
    return request


def refusal(**typed: tuple[str, object]) -> str:
    with pytest.raises(InvalidRequestError) as error:
        options_of(asking(**typed))
    return str(error.value)


def test_without_parameters_the_calls_own_deadline_counts() -> None:
    now = time.monotonic()
    options = options_of(pb.ModelInferRequest())
    assert (options, options.deadline_s(None)) == (Options(), math.inf)
    assert now + 5 <= options.deadline_s(5) < now + 10


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_the_earlier_deadline_counts(kind: str) -> None:
    now = time.monotonic()
    second = options_of(asking(timeout=(kind, 1_000_000)))
    assert second.timeout_s == 1
    assert now + 1 <= second.deadline_s(5) < now + 5
    assert second.deadline_s(0.5) < now + 1
    assert second.deadline_s(None) < now + 5
    assert options_of(asking(timeout=(kind, 0))).deadline_s(None) == math.inf


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_priority_is_a_whole_number_of_either_type(kind: str) -> None:
    assert options_of(asking(priority=(kind, 2))).priority == 2


@pytest.mark.parametrize("name", ["timeout", "priority"])
def test_other_types_and_negative_numbers_are_refused(name: str) -> None:
    types = f"parameters[{name}]: expected int64_param or uint64_param, came "
    assert refusal(**{name: ("string_param", "1")}) == f"{types}string_param"
    assert refusal(**{name: ("double_param", 1.0)}) == f"{types}double_param"
    assert refusal(**{name: ("int64_param", -1)}) == f"parameters[{name}]: expected at least 0, came -1"
    empty = pb.ModelInferRequest(parameters={name: pb.InferParameter()})
    with pytest.raises(InvalidRequestError, match="came nothing"):
        options_of(empty)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("sequence_id", "int64_param", 7),
        ("sequence_id", "uint64_param", 7),
        ("sequence_id", "string_param", "seven"),
        ("sequence_start", "bool_param", True),
        ("sequence_end", "bool_param", True),
    ],
)
def test_a_sequence_is_refused(name: str, kind: str, value: object) -> None:
    expected = f"parameters[{name}]: expected none: the model is stateless, came a sequence"
    assert refusal(**{name: (kind, value)}) == expected
    neutral = type(value)()
    assert options_of(asking(**{name: (kind, neutral)})) == Options()


def test_a_sequence_parameter_of_another_type_is_refused() -> None:
    assert "expected bool_param, came int64_param" in refusal(sequence_start=("int64_param", 0))


def test_unknown_parameters_are_passed_over() -> None:
    unknown = asking(triton_enable_empty_final_response=("bool_param", True), colour=("string_param", "red"))
    assert options_of(unknown) == Options()
