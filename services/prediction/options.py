"""What a request's parameters ask for beyond the prediction: how long it may wait, and how soon it is to run.

Parameters with a meaning of their own are checked; any other is passed over, as Triton does.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError

Parameters = Mapping[str, pb.InferParameter]

INTEGERS = ("int64_param", "uint64_param")
SEQUENCE_TYPES = {
    "sequence_id": (*INTEGERS, "string_param"),
    "sequence_start": ("bool_param",),
    "sequence_end": ("bool_param",),
}


@dataclass(frozen=True)
class Options:
    """How a request is to be scheduled."""

    deadline_s: float = math.inf
    """When it must have left the queue, in seconds of `time.monotonic()`; infinity if it may wait for ever."""
    priority: int = 0
    """1 is the highest; 0 is the model's default."""


def options_of(parameters: Parameters, remaining_s: float | None) -> Options:
    """The request's options; `remaining_s` is what the call's own deadline leaves.

    The earlier of that and `timeout` (microseconds; 0 is none) counts. Raises InvalidRequestError for a parameter of
    the wrong type or below zero, and for a sequence: every request here stands for itself.
    """
    if not parameters:
        return Options(_from_now(remaining_s))
    _refuse_sequences(parameters)
    timeout_s = _unsigned(parameters, "timeout") / 1e6 or math.inf
    remaining_s = timeout_s if remaining_s is None else min(remaining_s, timeout_s)
    return Options(_from_now(remaining_s), _unsigned(parameters, "priority"))


def _from_now(remaining_s: float | None) -> float:
    return math.inf if remaining_s is None else time.monotonic() + remaining_s


def _unsigned(parameters: Parameters, name: str) -> int:
    """The parameter's whole number; 0 where it is missing."""
    if name not in parameters:
        return 0
    value = _value(parameters[name], f"parameters[{name}]", INTEGERS)
    if int(value) < 0:
        raise InvalidRequestError(f"parameters[{name}]", "at least 0", str(value))
    return int(value)


def _refuse_sequences(parameters: Parameters) -> None:
    for name, types in SEQUENCE_TYPES.items():
        if name in parameters and _value(parameters[name], f"parameters[{name}]", types):
            raise InvalidRequestError(f"parameters[{name}]", "none: the model is stateless", "a sequence")


def _value(parameter: pb.InferParameter, field: str, types: tuple[str, ...]) -> int | str:
    came = parameter.WhichOneof("parameter_choice")
    if came not in types:
        raise InvalidRequestError(field, " or ".join(types), came or "nothing")
    value: int | str = getattr(parameter, came)
    return value
