"""Waiting for what happens in another process or task: as long as a slow and busy machine may need, and no longer."""

import asyncio
import time
from collections.abc import Awaitable, Callable

PATIENCE_S = 150.0
"""After this nothing more will happen. Starting a Ray and a job takes seconds where a machine is idle, else minutes."""


def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Return as soon as the condition holds; fail if it does not within the time."""
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {within_s:g} s"
        time.sleep(0.05)


async def eventually_async(condition: Callable[[], Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    """The same for whoever shares an event loop with what is to happen."""
    until_s = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < until_s, f"not within {within_s:g} s"
        await asyncio.sleep(0.05)
