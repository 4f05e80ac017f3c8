"""Reading bodies, so that no client can hold more memory, or for longer, than the settings say."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from services.prediction.budget import Budget
from services.prediction.codec import LONG
from services.prediction.errors import MemoryFullError
from services.prediction.rest.errors import SlowBodyError, TooLargeError, UnknownEncodingError
from services.rpc.errors import InvalidRequestError

ANY_HEADER = zlib.MAX_WBITS | 32
"""zlib's number for reading gzip and deflate alike."""


@dataclass(frozen=True)
class Bodies:
    """The limits of every body, and the bytes that all of them share while they are read and answered."""

    max_bytes: int
    within_s: float
    budget: Budget

    @asynccontextmanager
    async def of(self, request: Request) -> AsyncIterator[bytes]:
        """The request's body, decompressed.

        Raises TooLargeError, SlowBodyError, UnknownEncodingError, InvalidRequestError, and MemoryFullError while the
        bodies of others take up the room.
        """
        taken: list[int] = []
        try:
            yield await self._decoded(request, taken)
        finally:
            self.budget.give_back(sum(taken))

    async def _decoded(self, request: Request, taken: list[int]) -> bytes:
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "deflate"}:
            raise UnknownEncodingError("content-encoding", "gzip, deflate or identity", repr(encoding[:64]))
        announced = request.headers.get("content-length", "0")
        if len(announced) > 18 or int(announced) > self.max_bytes:  # digits alone: the HTTP parser has checked them
            raise TooLargeError("the request's body", self.max_bytes)
        body = await self._in_time(request, taken)
        if encoding == "identity" or not body:
            return body
        self._take(self.max_bytes - len(body), taken)  # it may become as large as that
        if len(body) > LONG:
            return await asyncio.to_thread(decompressed, body, self.max_bytes)
        return decompressed(body, self.max_bytes)

    async def _in_time(self, request: Request, taken: list[int]) -> bytes:
        try:
            async with asyncio.timeout(self.within_s):
                return await self._read(request, taken)
        except TimeoutError as error:
            raise SlowBodyError(self.within_s) from error

    async def _read(self, request: Request, taken: list[int]) -> bytes:
        body = bytearray()
        async for part in request.stream():
            if len(body) + len(part) > self.max_bytes:
                raise TooLargeError("the request's body", self.max_bytes)
            self._take(len(part), taken)
            body += part
        return bytes(body)

    def _take(self, size_bytes: int, taken: list[int]) -> None:
        if not self.budget.take(size_bytes):
            raise MemoryFullError(self.budget.max_bytes)
        taken.append(size_bytes)


def decompressed(body: bytes, max_bytes: int) -> bytes:
    """What a gzip or deflate body holds. Raises InvalidRequestError, and TooLargeError as soon as it is."""
    reader = zlib.decompressobj(ANY_HEADER)
    try:
        content = reader.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequestError("body", "gzip or deflate, as content-encoding says", str(error)) from error
    if len(content) > max_bytes:
        raise TooLargeError("the request's body, decompressed", max_bytes)
    if not reader.eof or reader.unused_data:
        raise InvalidRequestError("body", "one whole gzip or deflate stream", "less or more than that")
    return content


async def gone(request: Request) -> None:
    """Return when the client has left; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
