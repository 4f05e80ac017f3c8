import gzip
import zlib
from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.types import Message

from services.prediction.budget import Budget
from services.prediction.errors import MemoryFullError
from services.prediction.rest.body import Bodies, decompressed
from services.prediction.rest.errors import TooLargeError
from services.rpc.errors import InvalidRequestError


def request(*parts: bytes, encoding: str = "identity") -> Request:
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = False

    async def receive() -> Message:
        return waiting.pop(0)

    headers = [(b"content-encoding", encoding.encode())]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)


async def test_bodies_share_their_bytes_until_they_are_answered() -> None:
    bodies = Bodies(max_bytes=100, within_s=5, budget=Budget(150))
    async with bodies.of(request(b"a" * 50, b"b" * 50)) as first:
        assert first == b"a" * 50 + b"b" * 50
        async with bodies.of(request(b"c" * 50)):
            with pytest.raises(MemoryFullError):
                async with bodies.of(request(b"d")):
                    raise AssertionError
    async with bodies.of(request(b"e" * 100)) as again:
        assert len(again) == 100


async def test_a_compressed_body_takes_what_it_may_become() -> None:
    bodies = Bodies(max_bytes=100, within_s=5, budget=Budget(99))
    with pytest.raises(MemoryFullError):
        async with bodies.of(request(gzip.compress(b"a"), encoding="gzip")):
            raise AssertionError
    async with bodies.of(request(b"a" * 99)) as body:
        assert len(body) == 99


async def test_too_many_parts_are_too_large() -> None:
    bodies = Bodies(max_bytes=100, within_s=5, budget=Budget(1000))
    with pytest.raises(TooLargeError):
        async with bodies.of(request(b"a" * 60, b"a" * 41)):
            raise AssertionError


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_compressed_bodies_are_read_up_to_the_limit_and_whole(compress: Callable[[bytes], bytes]) -> None:
    body = compress(b"a" * 1000)
    assert decompressed(body, 1000) == b"a" * 1000
    with pytest.raises(TooLargeError):
        decompressed(body, 999)
    for broken in (body[:-1], body + b"x", b"x" + body):
        with pytest.raises(InvalidRequestError):
            decompressed(broken, 1000)
