"""The reader of encoded requests: what it remembers of a header must never change an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.registry.manifest import Datatype, Manifest, Tensor
from pipelines.registry.traffic import TrafficRule
from services.prediction.answers import varint
from services.prediction.calls import Arrays, Run
from services.prediction.codec import decode, encode
from services.prediction.errors import StartingError, UnknownVersionError
from services.prediction.messages import MAX_HEADERS, MessageReader, id_field
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.repository import Repository
from services.rpc.errors import InvalidRequestError, MessageTooLargeError
from tests.unit.prediction.graphs import manifest
from tests.unit.prediction.planes import plane_over, served

MAX_BYTES = 100_000
OUTPUTS: Arrays = {"probabilities": np.arange(16, dtype=np.float32).reshape(8, 2), "class_index": np.arange(8)}


class Setup:
    """A reader over a repository."""

    def __init__(self, described: Manifest | None = None) -> None:
        self.repository = Repository()
        self.repository.follow("digits", {"champion": "1"})
        self.repository.follow("digits", {"champion": "1"})
        self.repository.swap(served("digits", "1", described))
        self.reader = MessageReader(plane_over(self.repository), 8, MAX_BYTES)
        self.reader.catch_up()

    @property
    def num_headers(self) -> int:
        return len(self.reader._headers)


@pytest.fixture
def it() -> Setup:
    return Setup()


def request(num_rows: int = 1, *, id_: str = "", version: str = "", seed: int = 0) -> pb.ModelInferRequest:
    rows = np.random.default_rng(seed).random((num_rows, 3), np.float32)
    message = pb.ModelInferRequest(model_name="digits", model_version=version, id=id_)
    message.inputs.add(name="features", datatype="FP32", shape=rows.shape)
    message.raw_input_contents.append(rows.tobytes())
    return message


def check(setup: Setup, message: pb.ModelInferRequest) -> None:
    """The reader's values and answer are those of the codec alone."""
    reading = setup.reader.read(message.SerializeToString())
    described = reading.plan.served.manifest
    inference = decode(message, described, 8)
    assert [bytes(content) for content in reading.contents] == list(message.raw_input_contents)
    assert (reading.plan.num_rows, reading.plan.lane.row_shapes) == (inference.num_rows, ((3,),))
    expected = encode(
        message,
        reading.plan.served.version,
        reading.plan.served.manifest,
        inference,
        Run(OUTPUTS).rows(1, 1 + inference.num_rows),
    )
    answer = pb.ModelInferResponse.FromString(reading.plan.encode(Run(OUTPUTS), 1, reading.id_field))
    assert answer == expected


def test_a_header_is_remembered_whatever_id_and_values(it: Setup) -> None:
    for id_ in ("", "a", "another", "a" * 127, "a" * 128, "a" * 300, "é", ""):
        check(it, request(id_=id_, seed=len(id_)))
    assert it.num_headers == 1


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_mix_of_requests_is_read_as_the_codec_reads_it(data: st.DataObject) -> None:
    setup = Setup()
    for _ in range(data.draw(st.integers(1, 8))):
        message = request(
            data.draw(st.integers(1, 4)),
            id_=data.draw(st.one_of(st.just(""), st.text(max_size=200))),
            version=data.draw(st.sampled_from(["", "1"])),
            seed=data.draw(st.integers(0, 99)),
        )
        if data.draw(st.booleans()):
            message.parameters["priority"].uint64_param = data.draw(st.integers(0, 3))
        if data.draw(st.booleans()):
            message.outputs.add(name=data.draw(st.sampled_from(["probabilities", "class_index"])))
        check(setup, message)


def test_what_follows_the_values_of_a_header_that_is_remembered_is_read(it: Setup) -> None:
    one_row, two_rows = request(1).SerializeToString(), request(2).SerializeToString()
    it.reader.read(one_row)
    it.reader.read(two_rows)  # as long as the next one, and with its values at the same place
    another_model = b"\x0a\x0a" + b"0123456789"
    assert len(one_row + another_model) == len(two_rows)
    with pytest.raises(StartingError):  # which nobody serves
        it.reader.read(one_row + another_model)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_broken_message_is_read_as_the_codec_reads_it(data: st.DataObject) -> None:
    """Bytes changed, cut or added anywhere: refused by both, or read alike, whether the header was seen or not."""
    setup = Setup()
    good = request(id_=data.draw(st.sampled_from(["", "abc"])))
    setup.reader.read(good.SerializeToString())
    payload = bytearray(good.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload) - 1))
        cut = data.draw(st.integers(0, 2))
        payload[place : place + cut] = data.draw(st.binary(max_size=2))
    try:
        fresh = Setup().reader.read(bytes(payload))
    except (InvalidRequestError, StartingError, UnknownVersionError) as error:
        with pytest.raises(type(error)):
            setup.reader.read(bytes(payload))
        return
    again = setup.reader.read(bytes(payload))
    assert [bytes(each) for each in again.contents] == [bytes(each) for each in fresh.contents]
    outcomes = [each.plan.encode(Run(OUTPUTS), 0, each.id_field) for each in (fresh, again)]
    assert pb.ModelInferResponse.FromString(outcomes[0]) == pb.ModelInferResponse.FromString(outcomes[1])


def test_of_two_ids_the_last_counts_each_time(it: Setup) -> None:
    for first in (b"a", b"b", b"a"):
        payload = b"\x0a\x06digits\x1a\x01" + first + b"\x1a\x01z" + request().SerializeToString()
        reading = it.reader.read(payload)
        assert pb.ModelInferResponse.FromString(reading.plan.encode(Run(OUTPUTS), 1, reading.id_field)).id == "z"


def test_several_inputs_are_cut_at_their_places() -> None:
    x, z = Tensor(name="x", datatype="FP32", shape=(-1, 3)), Tensor(name="z", datatype="INT64", shape=(-1,))
    setup = Setup(manifest("digits").model_copy(update={"inputs": (x, z)}))
    for seed in range(3):
        numbers = np.random.default_rng(seed)
        message = pb.ModelInferRequest(model_name="digits")
        message.inputs.add(name="x", datatype="FP32", shape=(2, 3))
        message.inputs.add(name="z", datatype="INT64", shape=(2,))
        message.raw_input_contents.extend(
            [numbers.random((2, 3), np.float32).tobytes(), numbers.integers(0, 9, 2).tobytes()]
        )
        reading = setup.reader.read(message.SerializeToString())
        assert [bytes(content) for content in reading.contents] == list(message.raw_input_contents)
    assert setup.num_headers == 1
    swapped = pb.ModelInferRequest.FromString(message.SerializeToString())
    swapped.raw_input_contents[:] = reversed(list(swapped.raw_input_contents))
    with pytest.raises(InvalidRequestError):  # of the same length, under the same header
        setup.reader.read(swapped.SerializeToString())
    assert setup.num_headers == 1


def test_a_change_of_what_is_served_empties_the_memory(it: Setup) -> None:
    payload = request().SerializeToString()
    assert it.reader.read(payload).plan.served.version == "1"
    it.repository.follow("digits", {"champion": "2"})
    it.repository.follow("digits", {"champion": "2"})
    it.repository.swap(served("digits", "2"))
    it.reader.catch_up()
    assert it.reader.read(payload).plan.served.version == "2"
    it.repository.forget("digits")
    it.reader.catch_up()
    with pytest.raises(StartingError):
        it.reader.read(payload)


@pytest.mark.parametrize("datatype", ["BOOL"])
def test_values_that_must_be_looked_at_are(datatype: Datatype) -> None:
    x = Tensor(name="features", datatype=datatype, shape=(-1, 3))
    setup = Setup(manifest("digits").model_copy(update={"inputs": (x,)}))
    message = pb.ModelInferRequest(model_name="digits", raw_input_contents=[b"\x00\x01\x01"])
    message.inputs.add(name="features", datatype=datatype, shape=(1, 3))
    setup.reader.read(message.SerializeToString())
    message.raw_input_contents[0] = b"\x00\x01\x02"
    with pytest.raises(InvalidRequestError, match="BOOL"):
        setup.reader.read(message.SerializeToString())


def test_typed_requests_and_outputs_with_parameters_go_the_general_way(it: Setup) -> None:
    typed = pb.ModelInferRequest(model_name="digits", id="t-1")
    typed.inputs.add(name="features", datatype="FP32", shape=(1, 3)).contents.fp32_contents.extend([1, 2, 3])
    reading = it.reader.read(typed.SerializeToString())
    answer = pb.ModelInferResponse.FromString(reading.plan.encode(Run(OUTPUTS), 0, reading.id_field))
    assert (answer.id, list(answer.outputs[1].contents.int64_contents)) == ("t-1", [0])
    raw = request()
    raw.outputs.add(name="probabilities").parameters["binary_data"].bool_param = True
    it.reader.read(raw.SerializeToString())
    assert it.num_headers == 0


def test_the_memory_is_bounded(it: Setup) -> None:
    for number in range(MAX_HEADERS + 10):
        message = request()
        message.parameters["client"].int64_param = number
        check(it, message)
        assert it.num_headers <= MAX_HEADERS


def test_what_is_too_large_is_refused_before_it_is_read(it: Setup) -> None:
    with pytest.raises(MessageTooLargeError, match=rf"{MAX_BYTES + 1} vs. {MAX_BYTES}"):
        it.reader.read(b"x" * (MAX_BYTES + 1))


def test_what_is_no_message_is_refused(it: Setup) -> None:
    with pytest.raises(InvalidRequestError, match="expected one of the method's type"):
        it.reader.read(b"\xff\xff\xff")


@pytest.mark.parametrize(
    ("message", "id_"),
    [
        (pb.ModelInferRequest(), b""),
        (pb.ModelInferRequest(model_name="m", model_version="1"), b""),
        (pb.ModelInferRequest(model_name="m", model_version="1", id="abc"), b"\x1a\x03abc"),
        (pb.ModelInferRequest(id="abc"), b"\x1a\x03abc"),
        (pb.ModelInferRequest(model_name="m" * 200, id="abc"), b""),
        (pb.ModelInferRequest(model_name="m", id="a" * 200), b""),
    ],
)
def test_where_the_id_stands(message: pb.ModelInferRequest, id_: bytes) -> None:
    payload = message.SerializeToString()
    start, stop = id_field(payload)
    assert payload[start:stop] == id_


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**21, 2**31])
def test_a_varint_is_protobufs(number: int) -> None:
    message = pb.ModelInferResponse.InferOutputTensor(shape=[number])
    assert message.SerializeToString()[2:] == varint(number)


def test_a_header_that_two_versions_share_is_not_remembered(it: Setup) -> None:
    it.repository.follow("digits", {"champion": "1", "challenger": "2"}, TrafficRule(canary_share=0.5))
    it.repository.swap(served("digits", "2"))
    it.reader.catch_up()
    payload = request().SerializeToString()
    assert {it.reader.read(payload).plan.served.version for _ in range(100)} == {"1", "2"}
    assert it.num_headers == 0
    check(it, request(version="2"))
    assert it.num_headers == 1
