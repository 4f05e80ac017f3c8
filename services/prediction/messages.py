"""ModelInfer as bytes: a header that was read once is not decoded again.

A client sends the same header with every request of a kind (names, datatypes, shapes, options); only the id in it and
the values behind it differ. A header's first request is decoded and checked by `codec`; what came of it is kept under
the header's own bytes, and the next request with these bytes goes straight to its values. Nothing is assumed: length,
header and the tags between the values must all be the same, and any change of what is served empties the memory. Where
a traffic rule shares requests between two versions, a header does not say who answers, and is not kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from google.protobuf.message import DecodeError

from services.prediction.answers import Encoder, ExpressEncoder, GeneralEncoder, varint
from services.prediction.calls import Content, Lane
from services.prediction.codec import decode, takes_long
from services.prediction.data_plane import DataPlane
from services.prediction.entry import ServedVersion
from services.prediction.options import alias_of, options_of, routing_key_of
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.errors import CallError, InvalidRequestError, MessageTooLargeError

MODEL_NAME_TAG, MODEL_VERSION_TAG, ID_TAG, RAW_INPUT_TAG = b"\x0a", b"\x12", b"\x1a", b"\x3a"
"""Fields 1, 2, 3 and 7 of a request, all length-delimited."""
LONGEST = 128
"""From this length on a length takes two bytes."""
CHECKED_DATATYPES = {"BOOL", "BYTES"}
"""Datatypes whose every value has to be looked at."""
SMALL = 4096
"""Bytes up to which values are copied sooner than a view of them is made."""
MAX_HEADERS = 1024
MAX_OFFSETS = 4
"""Headers kept, and different lengths of header looked for in requests of one length."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a request's header asks for, checked against the manifest."""

    served: ServedVersion
    lane: Lane
    num_rows: int
    timeout_s: float
    encode: Encoder


class Reading(NamedTuple):
    """A request that was read: its plan, its values by input, its encoded id field, and how large it is."""

    plan: Plan
    contents: Sequence[Content]
    id_field: bytes
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Header:
    """A header that was read before; offsets are those of a request without an id."""

    plan: Plan
    values: tuple[tuple[int, int], ...]
    """Where the values of each input lie."""
    tags: tuple[tuple[int, bytes], ...]
    """What stands between them."""

    def contents(self, payload: bytes, shift: int) -> list[Content] | None:
        """The values of each input; None if what stands between them, or behind the last, is not as expected."""
        if self.values[-1][1] + shift != len(payload):
            return None
        for start, tag in self.tags:
            if not payload.startswith(tag, start + shift):
                return None
        held = payload if len(payload) < SMALL else memoryview(payload)
        return [held[start + shift : stop + shift] for start, stop in self.values]


class TakesLongError(Exception):
    """Not an error of the request: `read` decodes it, in whichever thread has the time."""

    def __init__(self, read: Callable[[], Reading]) -> None:
        super().__init__()
        self.read = read


class MessageReader:
    """Reads requests for one thread."""

    def __init__(self, plane: DataPlane, max_request_rows: int, max_message_bytes: int) -> None:
        self._plane, self._max_request_rows, self._max_message_bytes = plane, max_request_rows, max_message_bytes
        self._headers: dict[bytes, _Header] = {}
        self._offsets: dict[int, tuple[int, ...]] = {}
        self._generation = (-1, False)

    def catch_up(self) -> None:
        """Forget every header if what is served has changed; call it before the reads of one moment."""
        if self._generation != self._plane.generation:
            self._generation = self._plane.generation
            self._forget()

    def read(self, payload: bytes) -> Reading:
        """What an encoded ModelInferRequest asks for, and its values.

        Raises InvalidRequestError, MessageTooLargeError, what `DataPlane.find` raises, and TakesLongError where
        decoding had better happen elsewhere.
        """
        if len(payload) > self._max_message_bytes:
            raise MessageTooLargeError("Received", len(payload), self._max_message_bytes)
        return self._recall(payload, 0, 0) or self._recall(payload, *id_field(payload)) or self._read_new(payload)

    def _recall(self, payload: bytes, start: int, stop: int) -> Reading | None:
        """By a header that was read before, with an id field from `start` to `stop`."""
        shift = stop - start
        for offset in self._offsets.get(len(payload) - shift, ()):
            prefix = payload[:start] + payload[stop : offset + shift] if shift else payload[:offset]
            header = self._headers.get(prefix)
            if header is not None and (contents := header.contents(payload, shift)) is not None:
                field = payload[start:stop]
                if field.isascii():
                    read = header.plan, contents, field, len(payload)
                    return tuple.__new__(Reading, read)  # as its constructor does, in a third of the time
        return None

    def _forget(self) -> None:
        self._headers.clear()
        self._offsets.clear()

    def _read_new(self, payload: bytes) -> Reading:
        request = parse(payload)
        asked = request.model_name, request.model_version, alias_of(request)
        served = self._plane.find(*asked, routing_key_of(request))
        if takes_long(request, served.manifest):
            raise TakesLongError(partial(self._decode, request, served, len(payload)))
        reading = self._decode(request, served, len(payload))
        if isinstance(reading.plan.encode, ExpressEncoder) and not self._plane.is_shared(*asked):
            self._remember(payload, request, reading.plan)
        return reading

    def _decode(self, request: pb.ModelInferRequest, served: ServedVersion, size_bytes: int) -> Reading:
        try:
            inference = decode(request, served.manifest, self._max_request_rows)
            options = options_of(request)
        except CallError as error:
            served.metrics.failed(error)
            raise
        contents = [inference.inputs[tensor.name] for tensor in served.manifest.inputs]
        lane = Lane(options.priority, tuple(content.shape[1:] for content in contents))
        express = ExpressEncoder.fits(request, served, inference)
        encoder = (ExpressEncoder if express else GeneralEncoder)(request, served, inference)
        plan = Plan(served, lane, inference.num_rows, options.timeout_s, encoder)
        return Reading(plan, contents, pb.ModelInferResponse(id=request.id).SerializeToString(), size_bytes)

    def _remember(self, payload: bytes, request: pb.ModelInferRequest, plan: Plan) -> None:
        start, stop = id_field(payload)
        header = _header(payload, request, plan, stop - start)
        if header is None:
            return
        offset, length = header.values[0][0], len(payload) - (stop - start)
        offsets = self._offsets.get(length, ())
        if offset not in offsets and len(offsets) == MAX_OFFSETS:
            return
        if len(self._headers) >= MAX_HEADERS:
            self._forget()
            offsets = ()
        self._offsets[length] = tuple({*offsets, offset})
        self._headers[payload[:start] + payload[stop : offset + stop - start]] = header


def id_field(payload: bytes) -> tuple[int, int]:
    """Where the field `id` stands in an encoded request; both ends the same where it has none.

    It is looked for where every serializer puts it, after the fields 1 and 2, and only if all three are short.
    """
    position = 0
    for tag in (MODEL_NAME_TAG, MODEL_VERSION_TAG, ID_TAG):
        if payload[position : position + 1] != tag:
            continue
        length = payload[position + 1] if position + 1 < len(payload) else LONGEST
        if length >= LONGEST:
            break
        start, position = position, position + 2 + length
        if tag == ID_TAG:
            return start, position
    return 0, 0


def parse(payload: bytes) -> pb.ModelInferRequest:
    """The message. Raises InvalidRequestError."""
    try:
        return pb.ModelInferRequest.FromString(payload)
    except DecodeError as error:
        came = f"{len(payload)} bytes that are none"
        raise InvalidRequestError("message", "one of the method's type", came) from error


def _header(payload: bytes, request: pb.ModelInferRequest, plan: Plan, shift: int) -> _Header | None:
    """Where the values lie, if the message ends with them, one input after another in the manifest's order."""
    inputs = plan.served.manifest.inputs
    came = [(tensor.name, tensor.datatype) for tensor in request.inputs]  # an image comes as BYTES for numbers
    if came != [(tensor.name, tensor.datatype) for tensor in inputs]:
        return None
    if any(tensor.datatype in CHECKED_DATATYPES or tensor.steps_of is not None for tensor in inputs):
        return None
    start, stop = id_field(payload)
    if parse(payload[:start] + payload[stop:]).id:  # of several, the last counts
        return None
    stop = len(payload) - shift
    values: list[tuple[int, int]] = []
    tags: list[tuple[int, bytes]] = []
    for content in reversed(request.raw_input_contents):
        start, tag = stop - len(content), RAW_INPUT_TAG + varint(len(content))
        values.insert(0, (start, stop))
        stop = start - len(tag)
        tags.insert(0, (stop, tag))
    found = _Header(plan, tuple(values), tuple(tags)).contents(payload, shift)
    same = found is not None and found == list(request.raw_input_contents)
    return _Header(plan, tuple(values), tuple(tags[1:])) if same else None  # the first tag ends the header itself
