"""An open loop: requests come whether the last was answered or not, as from many independent clients."""

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from tests.benchmarks.serving.server import METHOD

PATIENCE_S = 30.0
"""Deadline of every request."""
Infer = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


@dataclass(frozen=True)
class Outcome:
    """What became of one request."""

    code: grpc.StatusCode
    took_ms: float
    """Since it was due, so a client that lags behind is not taken for a fast server."""


@dataclass(frozen=True)
class Phase:
    """What became of all requests of a time, with `rate` of them a second on offer."""

    rate: float
    seconds: float
    outcomes: Sequence[Outcome]

    @property
    def codes(self) -> Counter[str]:
        """How many ended with each status."""
        return Counter(outcome.code.name for outcome in self.outcomes)

    @property
    def answered_per_second(self) -> float:
        """Good answers a second."""
        return self.codes["OK"] / self.seconds

    def quantile_ms(self, percent: int) -> float:
        """Of the good answers' latencies."""
        took_ms = [outcome.took_ms for outcome in self.outcomes if outcome.code is grpc.StatusCode.OK]
        return statistics.quantiles(took_ms, n=100, method="inclusive")[percent - 1]


def offer(address: str, message: bytes, rate: float, seconds: float) -> Phase:
    """Send `rate` requests a second on one channel, at random times as of a Poisson process."""
    return Phase(rate, seconds, asyncio.run(_offer(address, message, rate, seconds)))


async def _offer(address: str, message: bytes, rate: float, seconds: float) -> list[Outcome]:
    rng = random.Random(1)
    async with grpc.aio.insecure_channel(address) as channel:
        infer: Infer = channel.unary_unary(METHOD)
        await infer(message, timeout=PATIENCE_S)  # connected
        start_s = due_s = time.monotonic()
        calls: list[asyncio.Task[Outcome]] = []
        while (due_s := due_s + rng.expovariate(rate)) < start_s + seconds:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            calls.append(asyncio.create_task(_outcome(infer, message, due_s)))
        return await asyncio.gather(*calls)


async def _outcome(infer: Infer, message: bytes, due_s: float) -> Outcome:
    try:
        await infer(message, timeout=PATIENCE_S)
    except grpc.aio.AioRpcError as error:
        return Outcome(error.code(), (time.monotonic() - due_s) * 1e3)
    return Outcome(grpc.StatusCode.OK, (time.monotonic() - due_s) * 1e3)
