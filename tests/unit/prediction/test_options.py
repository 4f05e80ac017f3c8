import math
import time

import pytest

from services.prediction.options import Options, options_of
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError


def parameters(**typed: tuple[str, object]) -> dict[str, pb.InferParameter]:
    """Parameters by name, each of a type and a value."""
    return {name: pb.InferParameter(**{kind: value}) for name, (kind, value) in typed.items()}  # type: ignore[arg-type]  # of any kind


def refusal(**typed: tuple[str, object]) -> str:
    with pytest.raises(InvalidRequestError) as error:
        options_of(parameters(**typed), None)
    return str(error.value)


def test_without_parameters_the_calls_own_deadline_counts() -> None:
    now = time.monotonic()
    assert options_of({}, None) == Options(math.inf, 0)
    assert now + 5 <= options_of({}, 5).deadline_s < now + 10


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_the_earlier_deadline_counts(kind: str) -> None:
    now = time.monotonic()
    second = parameters(timeout=(kind, 1_000_000))
    assert now + 1 <= options_of(second, 5).deadline_s < now + 5
    assert options_of(second, 0.5).deadline_s < now + 1
    assert options_of(second, None).deadline_s < now + 5
    assert options_of(parameters(timeout=(kind, 0)), None).deadline_s == math.inf


@pytest.mark.parametrize("kind", ["int64_param", "uint64_param"])
def test_priority_is_a_whole_number_of_either_type(kind: str) -> None:
    assert options_of(parameters(priority=(kind, 2)), None).priority == 2


@pytest.mark.parametrize("name", ["timeout", "priority"])
def test_other_types_and_negative_numbers_are_refused(name: str) -> None:
    types = f"parameters[{name}]: expected int64_param or uint64_param, came "
    assert refusal(**{name: ("string_param", "1")}) == f"{types}string_param"
    assert refusal(**{name: ("double_param", 1.0)}) == f"{types}double_param"
    assert refusal(**{name: ("int64_param", -1)}) == f"parameters[{name}]: expected at least 0, came -1"
    with pytest.raises(InvalidRequestError, match="came nothing"):
        options_of({name: pb.InferParameter()}, None)


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
    assert options_of(parameters(**{name: (kind, neutral)}), None) == Options()


def test_a_sequence_parameter_of_another_type_is_refused() -> None:
    assert "expected bool_param, came int64_param" in refusal(sequence_start=("int64_param", 0))


def test_unknown_parameters_are_passed_over() -> None:
    unknown = parameters(triton_enable_empty_final_response=("bool_param", True), colour=("string_param", "red"))
    assert options_of(unknown, None) == Options()
