"""The other processes, asked over private sockets: who reaches those may do everything; nothing goes on from there."""

from __future__ import annotations  # the asynchronous stub exists in the checker only

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from services.prediction.processes.errors import ProcessAwayError, ProcessRefusedError
from services.prediction.processes.place import Place

if TYPE_CHECKING:
    from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceAsyncStub

T = TypeVar("T")

logger = logging.getLogger(__name__)

STATISTICS_TIMEOUT_S = 2.0
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 15_000),  # a load may take minutes: who is stopped is told from who is busy by this
    ("grpc.keepalive_timeout_ms", 10_000),
]
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Siblings:
    """The others of a place; make it inside a running event loop."""

    def __init__(self, place: Place) -> None:
        self._channels = {
            number: grpc.aio.insecure_channel(place.door(number), options=_OPTIONS) for number in place.others
        }

    async def load(self, request: pb.RepositoryModelLoadRequest) -> None:
        """Each loads it too. Raises ProcessAwayError or ProcessRefusedError, after all have answered."""
        await self._all(lambda stub: stub.RepositoryModelLoad(request))

    async def unload(self, request: pb.RepositoryModelUnloadRequest) -> None:
        """Each unloads it too. Raises as `load`."""
        await self._all(lambda stub: stub.RepositoryModelUnload(request))

    async def statistics(self, request: pb.ModelStatisticsRequest) -> list[pb.ModelStatisticsResponse]:
        """Of those that answer; one that is being started has nothing to tell."""
        answers = await self._outcomes(lambda stub: stub.ModelStatistics(request, timeout=STATISTICS_TIMEOUT_S))
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def close(self) -> None:
        """Ask nobody any more."""
        for channel in self._channels.values():
            await channel.close(None)

    async def _all(self, ask: Callable[[GRPCInferenceServiceAsyncStub], Awaitable[object]]) -> None:
        for answer in await self._outcomes(ask):
            if isinstance(answer, BaseException):
                raise answer

    async def _outcomes(self, ask: Callable[[GRPCInferenceServiceAsyncStub], Awaitable[T]]) -> list[T | BaseException]:
        answers = (_told(number, ask(GRPCInferenceServiceStub(each))) for number, each in self._channels.items())
        return await asyncio.gather(*answers, return_exceptions=True)


async def _told(number: int, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except grpc.aio.AioRpcError as error:
        logger.warning("process %d: %s: %s", number, error.code().name, error.details())
        if error.code() in _AWAY:
            raise ProcessAwayError(number) from error
        raise ProcessRefusedError(number, error.details() or error.code().name) from error
