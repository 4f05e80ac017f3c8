"""Between Open Inference messages and numpy arrays: whatever a client sent becomes valid arrays or InvalidRequestError.

Everything is checked against the version's manifest here, before the queue, so that one bad request can never fail its
neighbours; nothing is allocated from a size that the client only claims.
"""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype, Manifest, Tensor
from services.prediction.calls import DEFAULT_PRIORITY, LOWEST_PRIORITY
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import InvalidRequestError

CONTENTS_FIELDS: dict[Datatype, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""The typed field of each datatype; FP16 has none and travels raw."""

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Inference:
    """A valid request: arrays by input name, all with the same number of rows."""

    inputs: dict[str, Array]
    num_rows: int
    outputs: tuple[str, ...]
    raw: bool


def decode(request: pb.ModelInferRequest, manifest: Manifest, max_rows: int) -> Inference:
    """The request's arrays, of exactly the manifest's names, datatypes and ranks; `(rows, ...)` each, read-only.

    Raises InvalidRequestError, naming what was expected and what came.
    """
    _check_names("inputs", [tensor.name for tensor in request.inputs], [tensor.name for tensor in manifest.inputs])
    raw = _is_raw(request)
    wanted = {tensor.name: tensor for tensor in manifest.inputs}
    inputs: dict[str, Array] = {}
    for index, tensor in enumerate(request.inputs):
        shape = _checked_shape(tensor, wanted[tensor.name])
        datatype = wanted[tensor.name].datatype
        if raw:
            inputs[tensor.name] = _from_raw(request.raw_input_contents[index], datatype, shape, tensor.name)
        else:
            inputs[tensor.name] = _from_contents(tensor.contents, datatype, shape, tensor.name)
    num_rows = _common_rows(inputs, max_rows)
    return Inference(inputs, num_rows, _requested_outputs(request, manifest), raw)


@dataclass(frozen=True)
class Options:
    """How a request may wait in the queue."""

    timeout_s: float = math.inf
    priority: int = DEFAULT_PRIORITY

    def deadline_s(self, remaining_s: float | None) -> float:
        """When it must have left the queue, of `time.monotonic()`: the earlier of timeout and the call's deadline."""
        return time.monotonic() + min(self.timeout_s, math.inf if remaining_s is None else remaining_s)


def options_of(request: pb.ModelInferRequest) -> Options:
    """The parameters `timeout` (microseconds; 0 is none) and `priority` (1 is the highest; 0 is the default).

    Raises InvalidRequestError for another type, or below zero.
    """
    timeout_us = _whole_number(request, "timeout", "microseconds")
    priority = _whole_number(request, "priority", f"1 to {LOWEST_PRIORITY}, 0 for the default")
    in_range = 1 <= priority <= LOWEST_PRIORITY
    return Options(timeout_us / 1e6 or math.inf, priority if in_range else DEFAULT_PRIORITY)


def _whole_number(request: pb.ModelInferRequest, name: str, meaning: str) -> int:
    if name not in request.parameters:
        return 0
    parameter = request.parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    if kind == "uint64_param":
        return parameter.uint64_param
    if kind != "int64_param" or parameter.int64_param < 0:
        came = str(parameter).strip() or "nothing"
        raise InvalidRequestError(f"parameters[{name}]", f"int64_param or uint64_param, {meaning}, at least 0", came)
    return parameter.int64_param


def encode(
    request: pb.ModelInferRequest, version: str, manifest: Manifest, inference: Inference, outputs: Mapping[str, Array]
) -> pb.ModelInferResponse:
    """The answer: the asked outputs in the asked order, raw if the request was raw (or a datatype has only that)."""
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    tensors = {tensor.name: tensor for tensor in manifest.outputs}
    raw = inference.raw or any(tensors[name].datatype not in CONTENTS_FIELDS for name in inference.outputs)
    for name in inference.outputs:
        datatype = tensors[name].datatype
        array = outputs[name].astype(NUMPY_DTYPES[datatype], copy=False)
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(array.tobytes())
        else:
            getattr(tensor.contents, CONTENTS_FIELDS[datatype]).extend(array.ravel().tolist())
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
    num_raw = len(request.raw_input_contents)
    if num_raw == 0:
        return False
    if any(tensor.HasField("contents") for tensor in request.inputs):
        raise InvalidRequestError("inputs", "either raw_input_contents or contents", "both")
    if num_raw != len(request.inputs):
        raise InvalidRequestError("raw_input_contents", f"one entry an input, {len(request.inputs)}", str(num_raw))
    return True


def _checked_shape(tensor: pb.ModelInferRequest.InferInputTensor, expected: Tensor) -> tuple[int, ...]:
    if tensor.datatype != expected.datatype:
        raise InvalidRequestError(f"inputs[{tensor.name}].datatype", expected.datatype, _quoted([tensor.datatype]))
    field = f"inputs[{tensor.name}].shape"
    if len(tensor.shape) != len(expected.shape):
        raise InvalidRequestError(field, str(list(expected.shape)), f"{len(tensor.shape)} dimensions")
    shape = tuple(tensor.shape)
    fits = all(length >= 1 and fixed in (-1, length) for length, fixed in zip(shape, expected.shape, strict=True))
    if not fits:
        raise InvalidRequestError(field, f"{list(expected.shape)}, where -1 is any length from 1", str(list(shape)))
    return shape


def _from_raw(content: bytes, datatype: Datatype, shape: tuple[int, ...], name: str) -> Array:
    dtype = NUMPY_DTYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    field = f"raw_input_contents for {name}"
    if len(content) != expected:
        raise InvalidRequestError(field, f"{expected} bytes for {datatype} {list(shape)}", f"{len(content)} bytes")
    if datatype == "BOOL" and content.strip(b"\x00\x01"):
        raise InvalidRequestError(field, "BOOL bytes 0 or 1", "other bytes")
    return np.frombuffer(content, dtype).reshape(shape)


def _from_contents(contents: pb.InferTensorContents, datatype: Datatype, shape: tuple[int, ...], name: str) -> Array:
    field = f"inputs[{name}].contents"
    if datatype not in CONTENTS_FIELDS:
        raise InvalidRequestError(field, f"{datatype} in raw_input_contents", "typed contents or nothing")
    wanted = CONTENTS_FIELDS[datatype]
    if wrong := [descriptor.name for descriptor, _ in contents.ListFields() if descriptor.name != wanted]:
        raise InvalidRequestError(field, f"{datatype} values in {wanted}", f"values in {wrong[0]}")
    values = getattr(contents, wanted)
    if len(values) != math.prod(shape):
        raise InvalidRequestError(field, f"{math.prod(shape)} values for {list(shape)}", f"{len(values)} values")
    return _narrowed(np.array(values), datatype, field).reshape(shape)


def _narrowed(values: Array, datatype: Datatype, field: str) -> Array:
    """`values` in the datatype's own width: the protocol carries 8 and 16 bit integers in 32 bit fields."""
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            raise InvalidRequestError(field, f"{datatype} values in [{limits.min}, {limits.max}]", f"[{low}, {high}]")
    return values.astype(dtype)


def _common_rows(inputs: Mapping[str, Array], max_rows: int) -> int:
    rows = {name: len(array) for name, array in inputs.items()}
    num_rows = next(iter(rows.values()))
    if any(each != num_rows for each in rows.values()):
        raise InvalidRequestError("inputs", "the same number of rows in every input", str(rows))
    if num_rows > max_rows:
        raise InvalidRequestError("inputs", f"at most {max_rows} rows in one request", str(num_rows))
    return num_rows


def _requested_outputs(request: pb.ModelInferRequest, manifest: Manifest) -> tuple[str, ...]:
    known = [tensor.name for tensor in manifest.outputs]
    asked = [output.name for output in request.outputs]
    _check_known_once("outputs", asked, known)
    return tuple(asked or known)


def _quoted(names: Collection[str]) -> str:
    """Names for a message; a client's own are cut short, they can be of any length."""
    return ", ".join(repr(name[:64]) for name in names)
