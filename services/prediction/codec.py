"""Between Open Inference messages and numpy arrays: whatever a client sent becomes valid arrays or InvalidRequestError.

Everything is checked against the version's manifest here, before the queue, so that one bad request can never fail its
neighbours; nothing is allocated from a size that the client only claims.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipelines.registry.manifest import NUMPY_DTYPES, Manifest, Tensor
from services.prediction.classification import top_classes, wanted_classes
from services.prediction.contents import CONTENTS_FIELDS, Array, Contents, elements, fill, raw, to_array
from services.prediction.images import Layout, decode_images
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError

SHARED_MEMORY = "shared_memory_region"
"""Triton's parameter of tensors that do not travel: refused, as passing it over would answer from nothing."""

LONG = 2**14
"""Bytes of a message, or values of its images, that take about a millisecond to decode."""


@dataclass(frozen=True)
class Inference:
    """A valid request: arrays by input name, all with the same number of rows."""

    inputs: dict[str, Array]
    num_rows: int
    outputs: tuple[str, ...]
    raw: bool
    classes: Mapping[str, int] = field(default_factory=dict)
    """Of which outputs to name the likeliest classes instead of the values, and how many."""


def decode(request: pb.ModelInferRequest, manifest: Manifest, max_rows: int) -> Inference:
    """The request's arrays, of exactly the manifest's names, datatypes and ranks; `(rows, ...)` each, read-only.

    Raises InvalidRequestError, naming what was expected and what came.
    """
    _check_names("inputs", [tensor.name for tensor in request.inputs], [tensor.name for tensor in manifest.inputs])
    is_raw = _is_raw(request)
    wanted = {tensor.name: tensor for tensor in manifest.inputs}
    inputs: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        contents = request.raw_input_contents[index] if is_raw else tensor.contents
        inputs[tensor.name] = _array(tensor, wanted[tensor.name], contents, max_rows)
    num_rows = _common_rows(inputs, max_rows)
    for each in manifest.inputs:
        _check_steps(each, inputs)
    outputs = _requested_outputs(request, manifest)
    return Inference(inputs, num_rows, outputs, is_raw, _requested_classes(request, manifest))


def takes_long(request: pb.ModelInferRequest, manifest: Manifest) -> bool:
    """Whether `decode` belongs in a thread: large images, and long lists of texts, would hold up the event loop."""
    if all(tensor.datatype != "BYTES" for tensor in request.inputs):
        return False
    if any(tensor.image is not None and tensor.image.fit for tensor in manifest.inputs):
        return True  # how large a picture is that is made to fit, only its header tells
    values = sum(math.prod(tensor.shape[1:]) for tensor in manifest.inputs)  # of one row
    rows = max((tensor.shape[0] for tensor in request.inputs if tensor.shape), default=0)
    return request.ByteSize() > LONG or rows * abs(values) > LONG


def encode(
    request: pb.ModelInferRequest, version: str, manifest: Manifest, inference: Inference, outputs: Mapping[str, Array]
) -> pb.ModelInferResponse:
    """The answer: the asked outputs in the asked order, raw if the request was raw (or a datatype has only that)."""
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    tensors = {tensor.name: tensor for tensor in manifest.outputs}
    is_raw = inference.raw or any(tensors[name].datatype not in CONTENTS_FIELDS for name in inference.outputs)
    for name in inference.outputs:
        datatype = tensors[name].datatype
        array: Array = outputs[name].astype(NUMPY_DTYPES[datatype], copy=False)
        if name in inference.classes:
            datatype, array = "BYTES", top_classes(array, inference.classes[name], manifest.labels)
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if is_raw:
            response.raw_output_contents.append(raw(array))
        else:
            fill(tensor.contents, datatype, array)
    return response


def _check_names(field: str, came: Sequence[str], known: Collection[str]) -> None:
    """Each known name exactly once, in any order."""
    _check_known_once(field, came, known)
    if missing := [name for name in known if name not in came]:
        raise InvalidRequestError(field, _quoted(known), f"nothing for {_quoted(missing)}")


def _check_known_once(field: str, came: Sequence[str], known: Collection[str]) -> None:
    for position, name in enumerate(came):
        if name not in known:
            raise InvalidRequestError(field, f"only {_quoted(known)}", _quoted([name]))
        if name in came[:position]:
            raise InvalidRequestError(field, "each name once", f"{_quoted([name])} twice")


def _is_raw(request: pb.ModelInferRequest) -> bool:
    parameters = [tensor.parameters for tensor in request.inputs] + [tensor.parameters for tensor in request.outputs]
    if any(SHARED_MEMORY in each for each in parameters):
        raise InvalidRequestError("parameters", "tensors in the message", f"a {SHARED_MEMORY}, which is not supported")
    num_raw = len(request.raw_input_contents)
    if num_raw == 0:
        return False
    if any(tensor.HasField("contents") for tensor in request.inputs):
        raise InvalidRequestError("inputs", "either raw_input_contents or contents", "both")
    if num_raw != len(request.inputs):
        raise InvalidRequestError("raw_input_contents", f"one entry an input, {len(request.inputs)}", str(num_raw))
    return True


def _array(tensor: pb.ModelInferRequest.InferInputTensor, expected: Tensor, contents: Contents, max_rows: int) -> Array:
    layout = Layout.of(expected) if tensor.datatype == "BYTES" else None
    if layout is not None:
        shape = _images_shape(tensor, max_rows)
        return decode_images(elements(contents, shape, tensor.name), expected, layout)
    if tensor.datatype != expected.datatype:
        raise InvalidRequestError(f"inputs[{tensor.name}].datatype", expected.datatype, _quoted([tensor.datatype]))
    return to_array(contents, expected.datatype, _checked_shape(tensor, expected), tensor.name)


def _images_shape(tensor: pb.ModelInferRequest.InferInputTensor, max_rows: int) -> tuple[int, ...]:
    """One element a row: checked before anything is decoded."""
    shape = tuple(tensor.shape)
    if shape[1:] not in {(), (1,)} or not shape or not 1 <= shape[0] <= max_rows:
        expected = f"[rows] or [rows, 1] of encoded images, at most {max_rows} rows"
        raise InvalidRequestError(f"inputs[{tensor.name}].shape", expected, str(list(shape[:8])))
    return shape


def _checked_shape(tensor: pb.ModelInferRequest.InferInputTensor, expected: Tensor) -> tuple[int, ...]:
    field = f"inputs[{tensor.name}].shape"
    if len(tensor.shape) != len(expected.shape):
        raise InvalidRequestError(field, str(list(expected.shape)), f"{len(tensor.shape)} dimensions")
    shape = tuple(tensor.shape)
    fits = all(length >= 1 and fixed in (-1, length) for length, fixed in zip(shape, expected.shape, strict=True))
    if not fits:
        raise InvalidRequestError(field, f"{list(expected.shape)}, where -1 is any length from 1", str(list(shape)))
    return shape


def _common_rows(inputs: Mapping[str, Array], max_rows: int) -> int:
    rows = {name: len(array) for name, array in inputs.items()}
    num_rows = next(iter(rows.values()))
    if any(each != num_rows for each in rows.values()):
        raise InvalidRequestError("inputs", "the same number of rows in every input", str(rows))
    if num_rows > max_rows:
        raise InvalidRequestError("inputs", f"at most {max_rows} rows in one request", str(num_rows))
    return num_rows


def _check_steps(tensor: Tensor, inputs: Mapping[str, Array]) -> None:
    """Numbers of steps are within those that came: what the graph makes of others is nobody's answer."""
    if tensor.steps_of is None:
        return
    steps, most = np.asarray(inputs[tensor.name], np.int64), inputs[tensor.steps_of].shape[1]
    wrong = steps[(steps < 1) | (steps > most)]
    if wrong.size:
        expected = f"from 1 to {most} steps, as {tensor.steps_of} has them"
        raise InvalidRequestError(f"inputs[{tensor.name}]", expected, str(wrong[0]))


def _requested_outputs(request: pb.ModelInferRequest, manifest: Manifest) -> tuple[str, ...]:
    known = [tensor.name for tensor in manifest.outputs]
    asked = [output.name for output in request.outputs]
    _check_known_once("outputs", asked, known)
    return tuple(asked or known)


def _requested_classes(request: pb.ModelInferRequest, manifest: Manifest) -> dict[str, int]:
    known = {tensor.name: tensor for tensor in manifest.outputs}
    wanted = {asked.name: wanted_classes(asked, known[asked.name]) for asked in request.outputs if asked.parameters}
    return {name: count for name, count in wanted.items() if count}


def _quoted(names: Collection[str]) -> str:
    """Names for a message; a client's own are cut short, they can be of any length."""
    return ", ".join(repr(name[:64]) for name in names)
