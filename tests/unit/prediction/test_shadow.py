"""One shadow: what it takes, what it lets fall, and that its champion never notices."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from prometheus_client import generate_latest

from services.prediction import shadow as module
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.calls import Arrays
from services.prediction.entry import ServedVersion
from services.prediction.metrics import Metrics
from services.prediction.shadow import Shadow
from services.prediction.shadow_metrics import Pair, ShadowCounts
from tests.unit.prediction.graphs import FEATURES, GOLDEN_ROWS, manifest


class Model:
    """Says class 0 of every row or, as another, class 1; waits until it is let go, and fails if it is told to."""

    name = "digits"
    inputs = (FEATURES,)

    def __init__(self, answer: int = 0) -> None:
        self.answer, self.fault = answer, False
        self.go = threading.Event()
        self.go.set()

    def run(self, inputs: Arrays) -> Arrays:
        assert self.go.wait(10)
        if self.fault:
            raise ArithmeticError
        return {"class_index": np.full(len(inputs["features"]), self.answer)}


class Setup:
    """A champion and its shadow."""

    def __init__(self, share: float = 1.0, max_pending: int = 8, max_queue_requests: int = 64) -> None:
        self.metrics, self.budget = Metrics(), Budget(2**20)
        self.model = Model()
        self.challenger = self.served("2", self.model, max_queue_requests)
        self.champion = self.served("1", Model(), 64)
        counts = ShadowCounts(self.metrics.shadow, Pair("digits", "1", "2"))
        self.counts = counts
        self.champion.batcher.shadow = Shadow(self.challenger, share, counts, max_pending)

    def served(self, version: str, model: Model, max_queue_requests: int) -> ServedVersion:
        counts = self.metrics.of_version("digits", version)
        batcher = Batcher(model, counts, self.budget, 4, max_queue_requests)
        return ServedVersion("digits", version, manifest("digits"), batcher, counts)

    async def ask(self, num_requests: int = 1) -> None:
        for _ in range(num_requests):
            answer = await self.champion.batcher.infer({"features": GOLDEN_ROWS[:1]}, 1)
            assert answer["class_index"].tolist() == [0]

    def value(self, name: str) -> float:
        labels = '{challenger="2",champion="1",model="digits"}'
        page = generate_latest(self.metrics.registry).decode().splitlines()
        (line,) = [line for line in page if line.startswith(f"drivetrain_shadow_{name}{labels}")]
        return float(line.split()[-1])

    async def eventually(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the metrics have no event to wait for
                await asyncio.sleep(0.001)

    async def compared(self, number: int) -> None:
        await self.eventually(lambda: self.value("requests_total") == number)


@pytest.fixture
def it() -> Iterator[Setup]:
    setup = Setup()
    yield setup
    setup.model.go.set()


async def test_every_answered_request_is_run_once_more_and_compared(it: Setup) -> None:
    assert it.counts.figures() == {}
    await it.ask(5)
    await it.compared(5)
    assert it.value("disagreements_total") == 0
    it.model.answer = 1
    await it.ask(5)
    await it.compared(10)
    assert (it.value("disagreements_total"), it.value("dropped_total")) == (5, 0)
    assert it.value("duration_seconds_count") == 10
    figures = it.counts.figures()
    assert (figures["shadow/requests"], figures["shadow/disagreement_rate"]) == (10, 0.5)
    assert 0 < figures["shadow/latency_ms"] < 10_000


async def test_shadow_requests_are_not_requests_of_the_challenger(it: Setup) -> None:
    await it.ask(3)
    await it.compared(3)
    assert (it.challenger.metrics.num_requests, it.challenger.metrics.num_rows) == (0, 3)


async def test_a_challenger_that_hangs_holds_up_nobody_and_no_memory(it: Setup) -> None:
    it.model.go.clear()
    await it.ask(30)
    await it.eventually(lambda: it.value("dropped_total") == 22)
    it.model.go.set()
    await it.compared(8)
    await it.ask(1)
    await it.compared(9)


async def test_inputs_that_are_too_large_are_let_fall(it: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_BYTES", 11)
    await it.ask(2)
    await it.eventually(lambda: it.value("dropped_total") == 2)
    assert it.value("requests_total") == 0


async def test_a_full_queue_drops_the_shadow() -> None:
    it = Setup(max_queue_requests=1)
    it.model.go.clear()
    await it.ask(8)
    await it.eventually(lambda: it.value("dropped_total") >= 6)
    it.model.go.set()
    await it.eventually(lambda: it.value("requests_total") + it.value("dropped_total") == 8)


async def test_what_is_to_be_answered_runs_before_shadow_requests(it: Setup) -> None:
    it.model.go.clear()
    await it.ask(8)
    await it.eventually(lambda: it.challenger.metrics.pending >= 4)
    asked = asyncio.create_task(it.challenger.batcher.infer({"features": GOLDEN_ROWS[:1]}, 1))
    await asyncio.sleep(0)
    it.model.go.set()
    await asked
    await it.compared(8)
    assert it.challenger.metrics.num_requests == 1


async def test_a_challenger_that_fails_disagrees(it: Setup) -> None:
    it.model.fault = True
    await it.ask(3)
    await it.compared(3)
    assert it.value("disagreements_total") == 3
    assert not it.challenger.metrics.failures


async def test_a_share_is_a_share() -> None:
    it = Setup(share=0.25, max_pending=1000, max_queue_requests=1000)
    await it.ask(1000)
    await it.eventually(lambda: it.challenger.batcher.idle and it.value("requests_total") > 150)
    assert it.value("requests_total") == pytest.approx(250, abs=68)  # five standard deviations


async def test_a_request_in_parts_is_shadowed_part_by_part(it: Setup) -> None:
    rows = np.tile(GOLDEN_ROWS, (3, 1))
    await it.champion.batcher.infer({"features": rows}, 9)
    await it.compared(3)
    assert (it.challenger.metrics.num_rows, it.value("disagreements_total")) == (9, 0)


async def test_a_shadow_that_breaks_is_logged_and_harms_nobody(
    it: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ShadowCall", None)
    await it.ask(2)
    await it.eventually(lambda: caplog.text.count("the shadow of a batch failed") == 2)
