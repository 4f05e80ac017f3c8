import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pipelines.registry.manifest import Tensor
from services.prediction.batcher import Batcher, join
from services.prediction.budget import Budget
from services.prediction.calls import Arrays, Content
from services.prediction.errors import DeadlineExpiredError, LongWaitError, QueueFullError
from services.prediction.metrics import Metrics, VersionMetrics
from tests.unit.prediction.waiting import LANE, Waiting


def rows(num_rows: int, width: int = 2, start: int = 0) -> Arrays:
    return {"x": np.arange(start, start + num_rows * width, dtype=np.float32).reshape(num_rows, width)}


class Doubler:
    """A model that doubles, holds the executor's thread until it is let go, and remembers its batches."""

    name = "doubler"
    inputs = (Tensor(name="x", datatype="FP32", shape=(-1, -1)),)

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
def counts() -> VersionMetrics:
    return Metrics().of_version("doubler", "1")


@pytest.fixture
async def doubler() -> AsyncIterator[Doubler]:
    model = Doubler()
    yield model
    model.go.set()


async def test_what_arrives_while_a_batch_runs_is_the_next_batch(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=64, max_queue_requests=64)
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
    assert (counts.num_batches, counts.num_requests, counts.num_rows, counts.pending) == (2, 4, 7, 0)


async def test_the_queue_is_bounded_and_the_cancelled_make_room(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=1, max_queue_requests=2)
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


async def test_a_request_that_expires_in_the_queue_is_never_run(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=8, max_queue_requests=8)
    with pytest.raises(DeadlineExpiredError):
        await batcher.infer(rows(1), 1, time.monotonic())
    assert doubler.batches == []


async def test_only_the_request_that_the_model_cannot_bear_fails(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=8, max_queue_requests=8)
    bad = {"x": np.full((1, 2), np.nan, np.float32)}
    outcomes = await asyncio.gather(
        batcher.infer(bad, 1, math.inf), batcher.infer(rows(1), 1, math.inf), return_exceptions=True
    )
    assert isinstance(outcomes[0], ArithmeticError)
    np.testing.assert_array_equal(outcomes[1]["y"], rows(1)["x"] * 2)  # type: ignore[index] # an answer
    assert (await batcher.infer(rows(1), 1, math.inf))["y"].tolist() == [[0, 2]]


async def test_inputs_that_cannot_be_joined_fail_their_own_request_and_not_the_queue(
    doubler: Doubler, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=8, max_queue_requests=8)
    with pytest.raises(ValueError, match="reshape"):
        await batcher.infer(rows(2), 3)
    assert (await batcher.infer(rows(1), 1))["y"].tolist() == [[0, 2]]


async def test_a_caller_that_leaves_while_it_runs_harms_nobody(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=8, max_queue_requests=8)
    doubler.go.clear()
    both = [asyncio.create_task(batcher.infer(rows(1), 1, math.inf)) for _ in range(2)]
    await asyncio.to_thread(doubler.started.wait, 10)
    both[0].cancel()
    doubler.go.set()
    assert (await both[1])["y"].tolist() == [[0, 2]]
    assert both[0].cancelled() or (await asyncio.wait(both[:1])) is not None


async def test_a_request_of_many_rows_runs_in_parts_and_comes_back_whole(
    doubler: Doubler, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=4, max_queue_requests=8)
    answer = await batcher.infer(rows(10), 10)
    np.testing.assert_array_equal(answer["y"], rows(10)["x"] * 2)
    assert doubler.batches == [4, 4, 2]
    assert (counts.num_requests, counts.num_rows) == (1, 10)


async def test_one_part_that_fails_fails_the_request_once(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=2, max_queue_requests=8)
    many = rows(6)["x"].copy()
    many[1] = many[5] = np.nan
    with pytest.raises(ArithmeticError):
        await batcher.infer({"x": many}, 6)


async def test_the_higher_priority_runs_first(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=1, max_queue_requests=8)
    doubler.go.clear()
    first = asyncio.create_task(batcher.infer(rows(1), 1))
    await asyncio.to_thread(doubler.started.wait, 10)
    done: list[str] = []

    async def ask(name: str, priority: int) -> None:
        await batcher.infer(rows(1), 1, priority=priority)
        done.append(name)

    others = [asyncio.create_task(ask(name, priority)) for name, priority in (("low", 9), ("usual", 5), ("high", 1))]
    await asyncio.sleep(0)
    doubler.go.set()
    await asyncio.gather(first, *others)
    assert done == ["high", "usual", "low"]


async def test_a_delay_fills_batches(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=3, max_queue_requests=8, max_queue_delay_s=60)
    await asyncio.wait_for(asyncio.gather(*(batcher.infer(rows(1), 1) for _ in range(3))), 10)
    assert doubler.batches == [3], "a full batch does not wait for the delay to pass"
    assert batcher.expected_s >= 60, "who waits must not keep others waiting"


async def test_a_version_knows_how_long_it_takes(doubler: Doubler, counts: VersionMetrics) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=3, max_queue_requests=8)
    assert batcher.expected_s == 0
    doubler.go.clear()
    call = asyncio.create_task(batcher.infer(rows(1), 1))
    await asyncio.to_thread(doubler.started.wait, 10)
    assert not batcher.idle
    await asyncio.to_thread(time.sleep, 0.002)
    doubler.go.set()
    await call
    assert batcher.expected_s > 0.002


def test_contents_of_all_kinds_are_joined_in_order() -> None:
    array = rows(2)["x"]
    kinds: list[Content] = [array, array.tobytes(), memoryview(array.tobytes())]
    calls = [Waiting([content], LANE, 2) for content in kinds]
    tensors = (Tensor(name="x", datatype="FP32", shape=(-1, 2)),)
    np.testing.assert_array_equal(join(calls, tensors)["x"], np.concatenate([array] * 3))
    for call in calls:
        np.testing.assert_array_equal(join([call], tensors)["x"], array)


async def test_who_would_wait_too_long_is_refused_and_who_finds_nobody_waiting_never(
    doubler: Doubler, counts: VersionMetrics
) -> None:
    batcher = Batcher(doubler, counts, Budget(2**20), max_batch_size=1, max_queue_requests=8, max_queue_wait_s=1e-9)
    doubler.go.clear()
    learning = [asyncio.create_task(batcher.infer(rows(1), 1)) for _ in range(3)]
    await asyncio.sleep(0)
    doubler.go.set()
    await asyncio.gather(*learning)  # nothing was known of the pace: all were let in
    doubler.go.clear()
    doubler.started.clear()
    running = asyncio.create_task(batcher.infer(rows(1), 1))
    await asyncio.to_thread(doubler.started.wait, 10)
    waiting = asyncio.create_task(batcher.infer(rows(1), 1))
    await asyncio.sleep(0)
    with pytest.raises(LongWaitError) as refusal:
        await batcher.infer(rows(1), 1)
    assert (refusal.value.model, refusal.value.max_s) == ("doubler", 1e-9)
    urgent = asyncio.create_task(batcher.infer(rows(1), 1, priority=1))  # nobody waits that would run before it
    await asyncio.sleep(0)
    with pytest.raises(LongWaitError):
        await batcher.infer(rows(1), 1, priority=1)
    doubler.go.set()
    await asyncio.gather(running, waiting, urgent)


def test_calls_that_come_together_get_no_more_of_the_memory_than_one_by_one(counts: VersionMetrics) -> None:
    def accepted(*groups: int) -> int:
        batcher = Batcher(Doubler(), counts, Budget(100), max_batch_size=8, max_queue_requests=64)
        calls = [[Waiting([], LANE, 1, size_bytes=10) for _ in range(size)] for size in groups]
        for group in calls:
            batcher.submit(group)
        return sum(not hasattr(call, "error") for group in calls for call in group)

    assert accepted(1, 1, 1, 1, 1, 1, 1, 1) == accepted(8) == accepted(3, 5) == 5
