"""Blocking calls in threads that nobody waits for at exit.

A call to a registry that hangs can take minutes to give up. The threads of an executor are joined when the process
ends; these are not, so SIGTERM stays prompt.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


async def in_daemon_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `call` returns or raises. Cancelling leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    context = copy_context()  # what is logged there belongs to the caller's request or job

    def work() -> None:
        try:
            settle = partial(_set, answer, answer.set_result, context.run(call, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            settle = partial(_set, answer, answer.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=work, daemon=True, name=f"background-{call.__name__}").start()
    return await answer


def _set(answer: asyncio.Future[T], setter: Callable[[U], None], outcome: U) -> None:
    if not answer.done():  # it is when its caller was cancelled
        setter(outcome)
