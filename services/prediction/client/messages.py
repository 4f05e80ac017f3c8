"""The request and the answer of a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.prediction.client.description import ModelMetadata
from services.prediction.client.errors import InvalidDataError, MalformedAnswerError, MissingOutputError
from services.prediction.client.inputs import Data, as_inputs
from services.prediction.client.tensors import Array, from_contents, from_raw, to_raw
from services.prediction.pb import open_inference_pb2 as pb


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model answered; the first axis of every output is the row."""

    model: str
    version: str
    """The version that ran."""
    outputs: dict[str, Array]
    """By name; read-only, they are views of the answer."""
    id: str = ""
    """The request's own, echoed."""
    class_labels: tuple[str, ...] = ()
    """The version's classes by index; empty for regression."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The likeliest class of each row. Raises MissingOutputError where the answer has no `class_index`."""
        if not self.class_labels:
            raise MissingOutputError("class_index", self.outputs)
        return tuple(self.class_labels[int(index)] for index in self._output("class_index"))

    @property
    def probabilities(self) -> Array:
        """`(rows, classes)`, in the order of `class_labels`. Raises MissingOutputError where the answer has none."""
        return self._output("probabilities")

    def _output(self, name: str) -> Array:
        if name not in self.outputs:
            raise MissingOutputError(name, self.outputs)
        return self.outputs[name]


@dataclass(frozen=True)
class Ask:
    """What a user wants predicted; it becomes a request with the metadata of the model."""

    model: str
    version: str
    data: Data
    outputs: Sequence[str] | None
    request_id: str
    priority: int | None

    def request(self, model: ModelMetadata) -> pb.ModelInferRequest:
        """The request for this version of the model. Raises InvalidDataError for what does not fit it."""
        request = pb.ModelInferRequest(model_name=self.model, model_version=self.version, id=self.request_id)
        if self.priority is not None:
            request.parameters["priority"].uint64_param = _checked_priority(self.priority)
        datatypes = {tensor.name: tensor.datatype for tensor in model.inputs}
        for name, array in as_inputs(self.data, model).items():
            request.inputs.add(
                name=name, datatype="BYTES" if array.dtype.kind == "O" else datatypes[name], shape=array.shape
            )
            request.raw_input_contents.append(to_raw(array))
        known = [tensor.name for tensor in model.outputs]
        for name in self.outputs or ():
            if name not in known:
                raise InvalidDataError("outputs", f"some of {', '.join(map(repr, known))}", repr(name))
            request.outputs.add(name=name)
        return request


def read_prediction(response: pb.ModelInferResponse, model: ModelMetadata) -> Prediction:
    """A raw or typed answer of the version that `model` describes. Raises MalformedAnswerError."""
    num_raw = len(response.raw_output_contents)
    if num_raw not in (0, len(response.outputs)):
        raise MalformedAnswerError(f"raw_output_contents: expected {len(response.outputs)} entries, came {num_raw}")
    outputs = {}
    for index, tensor in enumerate(response.outputs):
        field, shape = f"outputs[{tensor.name}]", tuple(tensor.shape)
        if num_raw:
            outputs[tensor.name] = from_raw(response.raw_output_contents[index], tensor.datatype, shape, field)
        else:
            outputs[tensor.name] = from_contents(tensor.contents, tensor.datatype, shape, field)
    _check_classes(outputs, model)
    return Prediction(response.model_name, response.model_version, outputs, response.id, model.labels)


def _check_classes(outputs: dict[str, Array], model: ModelMetadata) -> None:
    if not model.labels or "class_index" not in outputs:
        return
    indices: NDArray[Any] = outputs["class_index"]
    if indices.dtype.kind not in "iu" or not np.all((indices >= 0) & (indices < len(model.labels))):
        raise MalformedAnswerError(f"outputs[class_index]: expected integers from 0 to {len(model.labels) - 1}")


def _checked_priority(priority: int) -> int:
    if not 0 <= priority < 2**64:
        raise InvalidDataError("priority", "0 for the model's own, or 1 (first) and up", str(priority))
    return priority
