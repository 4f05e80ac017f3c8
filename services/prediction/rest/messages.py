"""A request's body to the protocol's message, and the message of the answer back to a body.

The JSON says what is asked. Tensors are values in it, or, with the binary data extension, bytes after it: the header
`Inference-Header-Content-Length` says where the JSON ends, the parameter `binary_data_size` how much belongs to a
tensor. Everything else, the model's own shapes and datatypes among it, is the codec's to check.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.rest.values import from_raw, to_raw
from services.rpc.errors import InvalidRequestError

HEADER_LENGTH = "inference-header-content-length"
SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"
MAX_INT64 = 2**63 - 1

Json = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """In which form the answer's outputs are wanted: by name where the request says so, else all alike."""

    binary: dict[str, bool]
    all_binary: bool = False

    def is_binary(self, output: str) -> bool:
        """Whether the output goes after the JSON."""
        return self.binary.get(output, self.all_binary)


def read_object(content: bytes) -> Json:
    """The JSON object that the bytes are; nothing at all counts as an empty one. Raises InvalidRequestError."""
    if not content:
        return {}
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("body", "JSON", f"none that can be read ({error})"[:200]) from error
    return _object(value, "body")


def read_request(body: bytes, header_length: str | None) -> tuple[pb.ModelInferRequest, Form]:
    """The message, without the model, and the form of the answer. Raises InvalidRequestError."""
    length = _header_length(header_length, len(body))
    read, binary = read_object(body[:length]), Binary(body, length)
    parameters = dict(_object(read.get("parameters", {}), "parameters"))
    all_binary = _flag(parameters.pop(ALL_BINARY, False), f"parameters[{ALL_BINARY}]")
    request = pb.ModelInferRequest(id=_text(read.get("id", ""), "id"))
    fill_parameters(request.parameters, parameters, "parameters")
    for tensor in _list(read.get("inputs"), "inputs"):
        _add_input(request, _object(tensor, "inputs"), binary)
    binary.check_all_taken()
    outputs = [_object(each, "outputs") for each in _list(read.get("outputs", []), "outputs")]
    asked = dict(_add_output(request, each) for each in outputs)
    return request, Form({name: flag for name, flag in asked.items() if flag is not None}, all_binary)


def write_answer(answer: pb.ModelInferResponse, form: Form) -> tuple[Json, list[bytes]]:
    """What goes into the JSON, and what follows it. Raises InvalidRequestError for values that JSON has no form for."""
    outputs: list[Json] = []
    after: list[bytes] = []
    for tensor, content in zip(answer.outputs, answer.raw_output_contents, strict=True):
        written: Json = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if form.is_binary(tensor.name):
            written["parameters"] = {SIZE: len(content)}
            after.append(content)
        else:
            written["data"] = from_raw(content, tensor.datatype, tensor.shape, tensor.name)
        outputs.append(written)
    head: Json = {"model_name": answer.model_name, "model_version": answer.model_version}
    return head | ({"id": answer.id} if answer.id else {}) | {"outputs": outputs}, after


class Binary:
    """What follows the JSON: the tensors' bytes, in the order of the inputs."""

    def __init__(self, body: bytes, start: int) -> None:
        self._body, self._position = body, start

    def take(self, size: int, field: str) -> bytes:
        """The next `size` bytes. Raises InvalidRequestError if there are fewer."""
        left = len(self._body) - self._position
        if size > left:
            raise InvalidRequestError(field, f"at most the {left} bytes that are left after the JSON", str(size))
        self._position += size
        return self._body[self._position - size : self._position]

    def check_all_taken(self) -> None:
        """Raise InvalidRequestError for bytes that belong to no tensor."""
        if left := len(self._body) - self._position:
            raise InvalidRequestError("body", f"nothing after the tensors of a {SIZE}", f"{left} bytes more")


def fill_parameters(
    target: Mapping[str, pb.InferParameter] | Mapping[str, pb.ModelRepositoryParameter], values: Json, field: str
) -> None:
    """Put JSON's values into typed parameters. Raises InvalidRequestError for what is no plain value."""
    for name, value in values.items():
        match value:
            case bool():
                target[name].bool_param = value
            case int() if -MAX_INT64 - 1 <= value <= MAX_INT64:
                target[name].int64_param = value
            case float() if isinstance(parameter := target[name], pb.InferParameter):
                parameter.double_param = value
            case str():
                target[name].string_param = _text(value, f"{field}[{name[:64]}]")
            case _:
                raise InvalidRequestError(f"{field}[{name[:64]}]", "true, false, a number or a string", "another value")


def _add_input(request: pb.ModelInferRequest, tensor: Json, binary: Binary) -> None:
    name = _text(tensor.get("name", ""), "inputs.name")
    place = f"inputs[{name[:64]}]"
    shape = [_length(each, f"{place}.shape") for each in _list(tensor.get("shape"), f"{place}.shape")]
    datatype = _text(tensor.get("datatype", ""), f"{place}.datatype")
    parameters = dict(_object(tensor.get("parameters", {}), f"{place}.parameters"))
    size = parameters.pop(SIZE, None)
    added = request.inputs.add(name=name, datatype=datatype, shape=shape)
    fill_parameters(added.parameters, parameters, f"{place}.parameters")
    if (size is None) == ("data" not in tensor):
        raise InvalidRequestError(place, f"either data or the parameter {SIZE}", "both" if "data" in tensor else "none")
    if size is None:
        request.raw_input_contents.append(to_raw(tensor["data"], datatype, shape, name))
    else:
        field = f"{place}.parameters[{SIZE}]"
        request.raw_input_contents.append(binary.take(_length(size, field), field))


def _add_output(request: pb.ModelInferRequest, output: Json) -> tuple[str, bool | None]:
    """The output's name, and whether it is wanted binary; None where the request as a whole decides."""
    name = _text(output.get("name", ""), "outputs.name")
    place = f"outputs[{name[:64]}].parameters"
    parameters = dict(_object(output.get("parameters", {}), place))
    binary = parameters.pop(BINARY, None)
    fill_parameters(request.outputs.add(name=name).parameters, parameters, place)
    return name, None if binary is None else _flag(binary, f"{place}[{BINARY}]")


def _header_length(text: str | None, num_bytes: int) -> int:
    if text is None:
        return num_bytes
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) <= num_bytes):
        raise InvalidRequestError(HEADER_LENGTH, f"a whole number up to the body's {num_bytes} bytes", repr(text[:64]))
    return int(text)


def _object(value: object, field: str) -> Json:
    return value if isinstance(value, dict) else _wrong(field, "an object")


def _list(value: object, field: str) -> list[Any]:
    return value if isinstance(value, list) else _wrong(field, "a list")


def _flag(value: object, field: str) -> bool:
    return value if isinstance(value, bool) else _wrong(field, "true or false")


def _length(value: object, field: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT64:
        return value
    return _wrong(field, "whole numbers from 0")


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        _wrong(field, "a string")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair
        raise InvalidRequestError(field, "a string of whole characters", "half of a surrogate pair") from error
    return value


def _wrong(field: str, expected: str) -> NoReturn:
    raise InvalidRequestError(field, expected, "nothing or another value")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON: send it with {SIZE}")
