"""Triton's classification extension: instead of an output's values the likeliest classes, as "score:index:label"."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import Tensor
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError

PARAMETER = "classification"


def wanted_classes(asked: pb.ModelInferRequest.InferRequestedOutputTensor, output: Tensor) -> int:
    """How many classes are asked for; 0 where the values are. Raises InvalidRequestError."""
    if PARAMETER not in asked.parameters:
        return 0
    field = f"outputs[{asked.name}].parameters[{PARAMETER}]"
    parameter = asked.parameters[PARAMETER]
    came = parameter.WhichOneof("parameter_choice")
    if came != "int64_param":
        raise InvalidRequestError(field, "int64_param", came or "nothing")
    if parameter.int64_param < 1:
        raise InvalidRequestError(field, "at least 1", str(parameter.int64_param))
    if output.datatype == "BYTES":
        raise InvalidRequestError(field, "an output of numbers", "BYTES, which have no order")
    return parameter.int64_param


def top_classes(scores: NDArray[np.generic], count: int, labels: Sequence[str]) -> NDArray[np.object_]:
    """Of each row `(rows, ...)` the `count` highest scores, or all if there are fewer; `(rows, count)`.

    The highest first, of equal ones the lower index first, NaN last. A label is added where there is one a score.
    """
    flat = scores.reshape(len(scores), -1)
    best = _descending(flat)[:, :count]
    named = labels if len(labels) == flat.shape[1] else ()
    classes = np.empty(best.shape, object)
    for row, indices in enumerate(best.tolist()):
        classes[row] = [_class(flat[row, index].item(), index, named) for index in indices]
    return classes


def _descending(scores: NDArray[np.generic]) -> NDArray[np.intp]:
    if scores.dtype.kind == "f":
        return np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
    ascending = np.argsort(scores[:, ::-1], axis=1, kind="stable")  # no minus: unsigned and boolean ones have none
    descending: NDArray[np.intp] = scores.shape[1] - 1 - ascending[:, ::-1]
    return descending


def _class(score: float | int | bool, index: int, labels: Sequence[str]) -> str:
    text = f"{score:f}" if isinstance(score, float) else f"{int(score)}"
    return f"{text}:{index}:{labels[index]}" if labels else f"{text}:{index}"
