"""Streams of requests: each answered in its order, several at work at a time, so that a stream fills batches too.

A stream reads ahead only as far as its client takes the answers; a client that does not is left with what it has sent.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from services.prediction.errors import TooManyStreamsError
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.logs import request_id
from services.rpc.status import answer_to

Request = TypeVar("Request")
Answer = TypeVar("Answer")
Infer = Callable[[pb.ModelInferRequest], Awaitable[pb.ModelInferResponse]]

FINAL = "triton_final_response"
"""What Triton's clients look for to know that a request has no further answer: here each has one."""


class Streams:
    """The server's streams: at most `max_streams`, with at most `max_ahead` requests of each at work."""

    def __init__(self, max_streams: int, max_ahead: int) -> None:
        self._max_streams, self._max_ahead = max_streams, max_ahead
        self._open = 0

    async def answers(
        self, requests: AsyncIterator[pb.ModelInferRequest], infer: Infer
    ) -> AsyncGenerator[pb.ModelStreamInferResponse, None]:
        """An answer or an error for each request, in their order. Raises TooManyStreamsError."""

        async def answer(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
            return await _answer(request, infer)

        with self._one_more():
            async with aclosing(in_order(requests, answer, self._max_ahead)) as answers:
                async for each in answers:
                    yield each

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        if self._open >= self._max_streams:
            raise TooManyStreamsError(self._max_streams)
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


async def _answer(request: pb.ModelInferRequest, infer: Infer) -> pb.ModelStreamInferResponse:
    """The answer, or the error's text with the id of what it refuses: the stream goes on."""
    try:
        response = await infer(request)
    except Exception as error:  # noqa: BLE001 - the table ends with Exception: nothing leaves unanswered
        _, text = answer_to(error, request_id())
        response = pb.ModelInferResponse(id=request.id)
        response.parameters[FINAL].bool_param = True
        return pb.ModelStreamInferResponse(error_message=text, infer_response=response)
    response.parameters[FINAL].bool_param = True
    return pb.ModelStreamInferResponse(infer_response=response)


async def in_order(
    requests: AsyncIterator[Request], answer: Callable[[Request], Awaitable[Answer]], max_ahead: int
) -> AsyncGenerator[Answer, None]:
    """The answers in the order of their requests, at most `max_ahead` of them read and not yet taken.

    Raises what `requests` or `answer` raise; whatever is at work when the iteration ends is cancelled.
    """
    room = asyncio.Semaphore(max_ahead)
    started: asyncio.Queue[asyncio.Future[Answer] | None] = asyncio.Queue()
    at_work: set[asyncio.Future[Answer]] = set()

    async def read() -> None:
        try:
            await room.acquire()
            async for request in requests:
                task = asyncio.ensure_future(answer(request))
                at_work.add(task)
                task.add_done_callback(at_work.discard)
                started.put_nowait(task)
                await room.acquire()
        finally:
            started.put_nowait(None)

    reader = asyncio.create_task(read())
    try:
        while (oldest := await started.get()) is not None:
            yield await oldest
            room.release()
        await reader
    finally:
        reader.cancel()
        for task in at_work:
            task.cancel()
