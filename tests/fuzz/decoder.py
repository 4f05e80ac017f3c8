"""Bytes for the decoder: good requests, bent at random places. All of it follows from one seed."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pipelines.registry.manifest import Tensor
from services.prediction.calls import Content, Run
from services.prediction.messages import MessageReader, Reading, TakesLongError
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.repository import Repository
from services.rpc.errors import CallError
from services.rpc.status import status_of
from tests.unit.prediction.graphs import manifest
from tests.unit.prediction.planes import plane_over, served

MAX_ROWS, MAX_BYTES = 8, 100_000
MIXED = manifest("mixed").model_copy(
    update={
        "inputs": (
            Tensor(name="text", datatype="BYTES", shape=(-1, 2)),
            Tensor(name="flag", datatype="BOOL", shape=(-1,)),
            Tensor(name="small", datatype="INT8", shape=(-1, -1)),
        )
    }
)
IMAGES = manifest("images").model_copy(
    update={"inputs": (Tensor(name="pixels", datatype="FP32", shape=(-1, 1, 4, 4)),)}
)
MODELS = {"digits": manifest("digits"), "mixed": MIXED, "images": IMAGES}
RUN = Run({"probabilities": np.arange(16, dtype=np.float32).reshape(8, 2), "class_index": np.arange(8)})
NUMBERS = (0, 1, 2, 8, 9, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, -1, -(2**63))

SECOND_FIELDS = (b"\x1a\x01b", b"\x0a\x05mixed", b"\x12\x011", b"\x3a\x01x", b"\x1a\x00")
"""Of several, the last counts, or all of them do."""
NO_MORE = (b"",) * 20


@dataclass
class Figures:
    """What came of it."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        tried = self.statuses.total()
        rate = tried / max(self.seconds, 1e-9)
        return f"decoder: {tried} inputs, {self.seconds:.1f} s, {rate:.0f} a second, {dict(self.statuses)}"


def attack(seed: int, seconds: float = 0.0, inputs: int = 0) -> Figures:
    """Try that many inputs, and as many more as the time allows. Whatever is no CallError comes out."""
    rng, figures, until_s = random.Random(seed), Figures(), time.monotonic() + seconds
    started_s, remembering = time.monotonic(), _reader()
    for number, payload in enumerate(payloads(rng)):
        if number >= inputs and time.monotonic() >= until_s:
            break
        first, outcome = _outcome(_reader(), payload), _outcome(remembering, payload)
        assert first == outcome, f"seed {seed}, input {number}: {payload!r} was read otherwise the second time"
        figures.statuses[outcome if isinstance(outcome, str) else "OK"] += 1
    figures.seconds = time.monotonic() - started_s
    return figures


def payloads(rng: random.Random) -> Iterator[bytes]:
    """Without end."""
    while True:
        message = _message(rng)
        for bend in rng.sample(BENDS, rng.randrange(3)):
            bend(rng, message)
        payload = bytearray(message.SerializeToString())
        for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
            place, length = rng.randrange(len(payload) + 1), rng.randrange(4)
            payload[place : place + length] = rng.randbytes(rng.randrange(4))
        again = rng.choice(NO_MORE + SECOND_FIELDS)
        yield bytes(payload) + again if rng.randrange(2) else again + bytes(payload)


def _outcome(reader: MessageReader, payload: bytes) -> str | tuple[object, ...]:
    try:
        try:
            reading = reader.read(payload)
        except TakesLongError as long:
            reading = long.read()
    except CallError as error:
        return status_of(error).name
    return _told(reading)


def _told(reading: Reading) -> tuple[object, ...]:
    """All that matters of a reading."""
    plan = reading.plan
    answer = pb.ModelInferResponse.FromString(plan.encode(RUN, 0, reading.id_field))
    contents = [_content(each) for each in reading.contents]
    return contents, plan.lane, plan.num_rows, plan.timeout_s, answer.SerializeToString()


def _content(content: Content) -> object:
    """Comparable, also where there are NaNs in it, whether the array was made already or is still to be."""
    texts = isinstance(content, np.ndarray) and content.dtype.hasobject
    return np.asarray(content).tolist() if texts else np.asarray(content).tobytes()


def _plane() -> Callable[[], MessageReader]:
    repository = Repository()
    for name, described in MODELS.items():
        repository.follow(name, {"champion": "1"})
        repository.swap(served(name, "1", described))
    plane = plane_over(repository)
    return lambda: MessageReader(plane, MAX_ROWS, MAX_BYTES)


def _message(rng: random.Random) -> pb.ModelInferRequest:
    rows = rng.choice((1, 1, 2, 8, 9))
    name = rng.choice((*MODELS, "digits"))
    message = pb.ModelInferRequest(model_name=name, id=rng.choice(("", "a", "id" * 90)))
    for tensor in MODELS[name].inputs:
        shape = [rows, *(rng.randrange(1, 4) if length == -1 else length for length in tensor.shape[1:])]
        count = int(np.prod(shape))
        message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        message.raw_input_contents.append(_values(rng, tensor.datatype, count))
    return message


def _values(rng: random.Random, datatype: str, count: int) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(text).to_bytes(4, "little") + text for text in (rng.randbytes(2) for _ in range(count)))
    if datatype == "BOOL":
        return bytes(rng.randrange(2) for _ in range(count))
    return rng.randbytes(count * (4 if datatype == "FP32" else 1))


def _bend_shape(rng: random.Random, message: pb.ModelInferRequest) -> None:
    message.inputs[0].shape[:] = [rng.choice(NUMBERS) for _ in range(rng.randrange(5))]


def _bend_datatype(rng: random.Random, message: pb.ModelInferRequest) -> None:
    message.inputs[0].datatype = rng.choice(("BYTES", "BOOL", "FP16", "INT8", "", "fp32"))


def _bend_parameters(rng: random.Random, message: pb.ModelInferRequest) -> None:
    keys = ("priority", "timeout", "alias", "sequence_id", "sequence_start", "binary_data", "")
    parameter = message.parameters[rng.choice(keys)]
    match rng.randrange(5):
        case 0:
            parameter.int64_param = rng.choice([n for n in NUMBERS if -(2**63) <= n < 2**63])
        case 1:
            parameter.uint64_param = rng.choice((0, 1, 2**64 - 1))
        case 2:
            parameter.string_param = rng.choice(("", "champion", "@", "1" * 300))
        case 3:
            parameter.double_param = rng.choice((0.5, float("nan"), float("inf"), -1e308))
        case _:
            parameter.bool_param = bool(rng.randrange(2))


def _bend_outputs(rng: random.Random, message: pb.ModelInferRequest) -> None:
    output = message.outputs.add(name=rng.choice(("probabilities", "class_index", "", "other")))
    if rng.randrange(2):
        output.parameters["classification"].int64_param = rng.choice((0, 1, 2, 3, 2**62, -1))


def _bend_name(rng: random.Random, message: pb.ModelInferRequest) -> None:
    message.model_name = rng.choice(("", "@", "digits@champion", "digits@", "a" * 5000, "digits@x@y"))
    message.model_version = rng.choice(("", "1", "01", "-1", "9" * 30, "٣"))


def _bend_to_typed(rng: random.Random, message: pb.ModelInferRequest) -> None:
    if rng.randrange(3):
        del message.raw_input_contents[:]
    contents = message.inputs[0].contents
    contents.fp32_contents.extend(rng.choice((0.0, float("nan"), 3e38)) for _ in range(rng.randrange(5)))
    if rng.randrange(2):
        contents.int_contents.append(rng.choice((0, 200, -(2**31))))
    if rng.randrange(2):
        contents.bytes_contents.extend([rng.randbytes(3), b"\x89PNG\r\n\x1a\n" + rng.randbytes(30)])


def _bend_to_image(rng: random.Random, message: pb.ModelInferRequest) -> None:
    image = rng.choice((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"")) + rng.randbytes(40)
    message.model_name = "images"
    del message.inputs[1:], message.raw_input_contents[:]
    message.inputs[0].name, message.inputs[0].datatype = "pixels", "BYTES"
    message.inputs[0].shape[:] = [1]
    message.raw_input_contents.append(len(image).to_bytes(4, "little") + image)


BENDS = (
    _bend_shape,
    _bend_datatype,
    _bend_parameters,
    _bend_outputs,
    _bend_name,
    _bend_to_typed,
    _bend_to_image,
)
_reader = _plane()
