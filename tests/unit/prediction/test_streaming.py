import asyncio
from collections.abc import AsyncIterator

import pytest

from services.prediction.errors import TooManyStreamsError
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.streaming import Streams, in_order
from services.rpc.errors import InvalidRequestError


class Desk:
    """Answers when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.cancelled: list[int] = []
        self.may_answer = asyncio.Event()

    async def answer(self, request: int) -> int:
        self.asked.append(request)
        try:
            await self.may_answer.wait()
            await asyncio.sleep(0.001 * (3 - request % 3))  # later ones are ready first
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        return request * 10


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_their_requests() -> None:
    desk = Desk()
    desk.may_answer.set()
    assert [answer async for answer in in_order(numbers(20), desk.answer, 5)] == [number * 10 for number in range(20)]


async def test_no_more_is_read_than_the_client_takes_answers() -> None:
    desk = Desk()
    answers = in_order(numbers(20), desk.answer, 4)
    first = asyncio.ensure_future(anext(answers))
    await settled()
    assert desk.asked == [0, 1, 2, 3]
    desk.may_answer.set()
    assert await first == 0
    await settled()
    assert desk.asked == [0, 1, 2, 3], "the first answer was given, but the client has not come back for more"
    assert await anext(answers) == 10
    await settled()
    assert desk.asked == [0, 1, 2, 3, 4]
    await answers.aclose()


async def test_what_is_at_work_is_cancelled_when_the_client_leaves() -> None:
    desk = Desk()
    waiting = asyncio.ensure_future(anext(in_order(numbers(20), desk.answer, 4)))
    await settled()
    waiting.cancel()
    await settled()
    assert sorted(desk.cancelled) == [0, 1, 2, 3]


async def test_a_break_in_the_requests_is_raised_after_the_answers_before_it() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("gone")

    desk = Desk()
    desk.may_answer.set()
    answers = in_order(broken(), desk.answer, 4)
    assert await anext(answers) == 10
    with pytest.raises(ConnectionError):
        await anext(answers)


async def requests(*ids: str) -> AsyncIterator[pb.ModelInferRequest]:
    for each in ids:
        yield pb.ModelInferRequest(id=each)


async def infer(request: pb.ModelInferRequest) -> pb.ModelInferResponse:
    if request.id == "wrong":
        raise InvalidRequestError("inputs", "something", "nothing")
    if request.id == "broken":
        raise ZeroDivisionError("a secret")
    return pb.ModelInferResponse(id=request.id, model_name="digits")


async def test_an_error_has_its_text_and_id_and_the_stream_goes_on() -> None:
    streams = Streams(max_streams=1, max_ahead=2)
    answers = [each async for each in streams.answers(requests("a", "wrong", "broken", "b"), infer)]
    assert [each.infer_response.id for each in answers] == ["a", "wrong", "broken", "b"]
    assert [each.infer_response.model_name for each in answers] == ["digits", "", "", "digits"]
    assert [bool(each.error_message) for each in answers] == [False, True, True, False]
    assert answers[1].error_message == "inputs: expected something, came nothing"
    assert answers[2].error_message.startswith("internal error")
    assert all(each.infer_response.parameters["triton_final_response"].bool_param for each in answers)


async def test_streams_are_counted_and_end() -> None:
    streams = Streams(max_streams=1, max_ahead=2)
    first = streams.answers(requests("a", "b"), infer)
    await anext(first)
    with pytest.raises(TooManyStreamsError):
        await anext(streams.answers(requests("c"), infer))
    await first.aclose()
    assert [each.infer_response.id async for each in streams.answers(requests("c"), infer)] == ["c"]
