import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import pytest

from services.prediction.batcher import Arrays, Batcher, Pending, form_batch
from services.prediction.errors import DeadlineExpiredError, QueueFullError
from services.prediction.metrics import Metrics, VersionMetrics


def rows(num_rows: int, width: int = 2, start: int = 0) -> Arrays:
    return {"x": np.arange(start, start + num_rows * width, dtype=np.float32).reshape(num_rows, width)}


class Doubler:
    """A model that doubles, holds the executor's thread until it is let go, and remembers its batches."""

    name = "doubler"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.started, self.go = threading.Event(), threading.Event()
        self.go.set()

    def run(self, inputs: Arrays) -> Arrays:
        self.started.set()
        assert self.go.wait(10)
        self.batches.append(len(inputs["x"]))
        if np.isnan(inputs["x"]).any():
            raise ArithmeticError("not a number")
        return {"y": inputs["x"] * 2}


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def counts() -> VersionMetrics:
    return Metrics().of_version("doubler", "1")


@pytest.fixture
async def doubler() -> AsyncIterator[Doubler]:
    model = Doubler()
    yield model
    model.go.set()


def pending(num_rows: int, width: int = 2, deadline_s: float = math.inf) -> Pending:
    return Pending(rows(num_rows, width), num_rows, deadline_s, asyncio.get_running_loop().create_future())


async def test_a_batch_is_filled_in_order_and_never_beyond_its_size() -> None:
    queue = [pending(2), pending(2), pending(2), pending(1)]
    forming = form_batch(queue, max_rows=5, now_s=0)
    assert forming.batch == queue[:2]
    assert forming.waiting == queue[2:], "what came later does not overtake"


async def test_only_rows_of_one_shape_share_a_batch() -> None:
    queue = [pending(1, width=3), pending(1, width=2), pending(1, width=3)]
    forming = form_batch(queue, max_rows=8, now_s=0)
    assert forming.batch == [queue[0], queue[2]]
    assert forming.waiting == [queue[1]]


async def test_a_request_larger_than_a_batch_runs_alone() -> None:
    queue = [pending(9), pending(1)]
    assert form_batch(queue, max_rows=4, now_s=0).batch == queue[:1]


async def test_expired_and_cancelled_requests_leave_before_they_run() -> None:
    queue = [pending(1, deadline_s=1.0), pending(1), pending(1)]
    queue[1].answer.cancel()
    forming = form_batch(queue, max_rows=4, now_s=1.0)
    assert (forming.batch, forming.expired, forming.waiting) == ([queue[2]], [queue[0]], [])


async def test_nothing_live_is_an_empty_batch() -> None:
    assert form_batch([], max_rows=4, now_s=0).batch == []


async def test_what_arrives_while_a_batch_runs_is_the_next_batch(
    doubler: Doubler, executor: Executor, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, executor, counts, max_batch_size=64, max_queue_requests=64)
    doubler.go.clear()
    first = asyncio.create_task(batcher.infer(rows(1), 1, math.inf))
    await asyncio.to_thread(doubler.started.wait, 10)
    others = [asyncio.create_task(batcher.infer(rows(n, start=100 * n), n, math.inf)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    assert counts.pending == 3
    doubler.go.set()
    answers = await asyncio.gather(first, *others)
    assert doubler.batches == [1, 6]
    np.testing.assert_array_equal(answers[0]["y"], rows(1)["x"] * 2)
    for n, answer in zip((1, 2, 3), answers[1:], strict=True):
        np.testing.assert_array_equal(answer["y"], rows(n, start=100 * n)["x"] * 2)
    assert (counts.counts["exec_count"], counts.counts["count"], counts.pending) == (2, 7, 0)


async def test_the_queue_is_bounded_and_the_cancelled_make_room(
    doubler: Doubler, executor: Executor, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, executor, counts, max_batch_size=1, max_queue_requests=2)
    doubler.go.clear()
    first = asyncio.create_task(batcher.infer(rows(1), 1, math.inf))
    await asyncio.to_thread(doubler.started.wait, 10)
    waiting = [asyncio.create_task(batcher.infer(rows(1), 1, math.inf)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError) as refusal:
        await batcher.infer(rows(1), 1, math.inf)
    assert (refusal.value.model, refusal.value.limit) == ("doubler", 2)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    late = asyncio.create_task(batcher.infer(rows(1), 1, math.inf))
    await asyncio.sleep(0)
    doubler.go.set()
    await asyncio.gather(first, waiting[1], late)
    assert doubler.batches == [1, 1, 1]


async def test_a_request_that_expires_in_the_queue_is_never_run(
    doubler: Doubler, executor: Executor, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, executor, counts, max_batch_size=8, max_queue_requests=8)
    with pytest.raises(DeadlineExpiredError):
        await batcher.infer(rows(1), 1, time.monotonic())
    assert doubler.batches == []


async def test_what_the_model_raises_reaches_each_caller_and_the_next_batch_runs(
    doubler: Doubler, executor: Executor, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, executor, counts, max_batch_size=8, max_queue_requests=8)
    bad = {"x": np.full((1, 2), np.nan, np.float32)}
    outcomes = await asyncio.gather(
        batcher.infer(bad, 1, math.inf), batcher.infer(rows(1), 1, math.inf), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [ArithmeticError, ArithmeticError]
    assert (await batcher.infer(rows(1), 1, math.inf))["y"].tolist() == [[0, 2]]


async def test_a_caller_that_leaves_while_it_runs_harms_nobody(
    doubler: Doubler, executor: Executor, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, executor, counts, max_batch_size=8, max_queue_requests=8)
    doubler.go.clear()
    both = [asyncio.create_task(batcher.infer(rows(1), 1, math.inf)) for _ in range(2)]
    await asyncio.to_thread(doubler.started.wait, 10)
    both[0].cancel()
    doubler.go.set()
    assert (await both[1])["y"].tolist() == [[0, 2]]
    assert both[0].cancelled() or (await asyncio.wait(both[:1])) is not None
