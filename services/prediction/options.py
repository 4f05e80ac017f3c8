"""What a request's parameters ask for beyond the prediction: how long it may wait, and how soon it is to run.

Parameters with a meaning of their own are checked; any other is passed over, as Triton does.
"""

import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.prediction.calls import DEFAULT_PRIORITY, LOWEST_PRIORITY
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

    timeout_s: float = math.inf
    """How long it may wait in the queue."""
    priority: int = DEFAULT_PRIORITY
    """1 is the highest."""

    def deadline_s(self, remaining_s: float | None) -> float:
        """When it must have left the queue, of `time.monotonic()`: the earlier of timeout and the call's deadline."""
        return time.monotonic() + min(self.timeout_s, math.inf if remaining_s is None else remaining_s)


DEFAULTS = Options()


def alias_of(request: pb.ModelInferRequest) -> str:
    """The parameter `alias`, which names the version in the place of a number; empty where there is none.

    Raises InvalidRequestError for another type than a string.
    """
    if "alias" not in request.parameters:
        return ""
    return str(_value(request.parameters["alias"], "parameters[alias]", ("string_param",)))


def routing_key_of(request: pb.ModelInferRequest) -> str:
    """The parameter `routing_key`: requests that have it in common go to one version; empty where there is none.

    Raises InvalidRequestError for another type than a string.
    """
    if "routing_key" not in request.parameters:
        return ""
    return str(_value(request.parameters["routing_key"], "parameters[routing_key]", ("string_param",)))


def options_of(request: pb.ModelInferRequest) -> Options:
    """What the parameters `timeout` (microseconds; 0 is none) and `priority` (out of range is the default) say.

    Raises InvalidRequestError for a parameter of the wrong type or below zero, and for a sequence: every request here
    stands for itself.
    """
    parameters = request.parameters
    if not parameters:
        return DEFAULTS
    _refuse_sequences(parameters)
    priority = _unsigned(parameters, "priority")
    in_range = 1 <= priority <= LOWEST_PRIORITY
    return Options(_unsigned(parameters, "timeout") / 1e6 or math.inf, priority if in_range else DEFAULT_PRIORITY)


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


def version_of(parameters: Mapping[str, pb.ModelRepositoryParameter], also: Collection[str]) -> str:
    """The string parameter `version` of a repository call; empty where there is none.

    Raises InvalidRequestError for another type, and for parameters that are neither it nor in `also`.
    """
    if unknown := sorted(set(parameters) - {"version", *also}):
        raise InvalidRequestError("parameters", "none but the string version", unknown[0][:256])
    if "version" not in parameters:
        return ""
    if parameters["version"].WhichOneof("parameter_choice") != "string_param":
        raise InvalidRequestError("parameters[version]", "string_param", "another type")
    return parameters["version"].string_param
