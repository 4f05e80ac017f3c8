import asyncio
import threading
from contextvars import ContextVar

import pytest

from services.rpc.background import in_daemon_thread


def add(left: int, right: int) -> int:
    assert threading.current_thread().daemon
    return left + right


asker = ContextVar("asker", default="nobody")


def fail() -> None:
    raise LookupError("as raised")


async def test_returns_what_the_call_returns() -> None:
    assert await in_daemon_thread(add, 1, right=2) == 3


async def test_the_call_belongs_to_whoever_made_it() -> None:
    asker.set("request 7")
    assert await in_daemon_thread(asker.get) == "request 7"


async def test_raises_what_the_call_raises() -> None:
    with pytest.raises(LookupError, match="as raised"):
        await in_daemon_thread(fail)


async def test_a_cancelled_wait_leaves_the_thread_to_itself() -> None:
    go, done = threading.Event(), threading.Event()

    def wait() -> None:
        go.wait(10)
        done.set()

    task = asyncio.create_task(in_daemon_thread(wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await asyncio.to_thread(done.wait, 10)


def test_a_loop_that_has_ended_is_not_missed() -> None:
    go = threading.Event()

    async def leave() -> None:
        task = asyncio.create_task(in_daemon_thread(go.wait, 10))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    [thread] = [each for each in threading.enumerate() if each.name == "background-wait"]
    go.set()
    thread.join(10)
    assert not thread.is_alive()
