"""Runs a share of one version's requests with another one too, after they were answered: nobody waits for it.

The champion's thread picks the calls and hands them on; a thread of its own queues them with the challenger, behind
all that is to be answered. What is pending is bounded; beyond that a request is dropped, and counted.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from functools import partial

from services.prediction.calls import LOWEST_PRIORITY, Call, Lane, Run
from services.prediction.comparison import disagrees
from services.prediction.entry import ServedVersion
from services.prediction.shadow_metrics import ShadowCounts
from services.prediction.worker import Worker
from services.rpc.errors import ExhaustedError

logger = logging.getLogger(__name__)

SHADOW_PRIORITY = LOWEST_PRIORITY + 1
"""After every request that somebody waits for."""
MAX_PENDING_BYTES = 16 * 2**20
"""Most bytes of inputs that one shadow holds; they are not taken from what the server's requests may hold."""


class Shadow:
    """The hook of the champion's batcher."""

    def __init__(self, challenger: ServedVersion, share: float, counts: ShadowCounts, max_pending: int) -> None:
        self.challenger, self.share = challenger, share
        self._counts, self._max_pending = counts, max_pending
        self._guard = threading.Lock()
        self._pending = self._pending_bytes = 0
        self._worker = Worker(f"shadow-{challenger.name}")

    def __call__(self, batch: Sequence[Call], run: Run) -> None:
        """This batch of the champion's has been answered with this run; returns at once, and never raises."""
        try:
            self._take(batch, run)
        except Exception:
            logger.exception("model %s: the shadow of a batch failed", self.challenger.name)

    def settle(self, call: "ShadowCall", *, differs: bool) -> None:
        """The challenger has run the call."""
        self._release(call)
        self._counts.compared(time.monotonic() - call.queued_s, disagrees=differs)

    def _take(self, batch: Sequence[Call], run: Run) -> None:
        taken: list[ShadowCall] = []
        start = num_dropped = 0
        for call in batch:
            if random.random() < self.share:
                shadow = ShadowCall(self, call, run, start)
                if self._admit(shadow):
                    taken.append(shadow)
                else:
                    num_dropped += 1
            start += call.num_rows
        if num_dropped:
            self._counts.dropped(num_dropped)
        if taken:
            self._worker.do(partial(self._queue, taken))

    def drop(self, call: "ShadowCall") -> None:
        """The challenger has no room for the call."""
        self._release(call)
        self._counts.dropped(1)

    def _queue(self, calls: Sequence["ShadowCall"]) -> None:
        batcher = self.challenger.batcher
        if batcher.submit(calls):
            batcher.work_in_thread()

    def _admit(self, call: "ShadowCall") -> bool:
        with self._guard:
            pending, pending_bytes = self._pending + 1, self._pending_bytes + call.held_bytes
            if pending > self._max_pending or pending_bytes > MAX_PENDING_BYTES:
                return False
            self._pending, self._pending_bytes = pending, pending_bytes
            return True

    def _release(self, call: "ShadowCall") -> None:
        with self._guard:
            self._pending -= 1
            self._pending_bytes -= call.held_bytes


class ShadowCall(Call):
    """The rows of an answered call once more; the answer is compared, and goes nowhere."""

    __slots__ = ("_expected", "_expected_start", "_shadow", "held_bytes")

    counts = False

    def __init__(self, shadow: Shadow, answered: Call, run: Run, start: int) -> None:
        lane = Lane(SHADOW_PRIORITY, answered.lane.row_shapes)
        super().__init__(answered.contents, lane, answered.num_rows)
        self._shadow, self._expected, self._expected_start = shadow, run, start
        self.held_bytes = sum(len(each) if isinstance(each, bytes) else each.nbytes for each in answered.contents)

    def answer(self, run: Run, start: int) -> None:
        """Compare the challenger's rows with the champion's."""
        expected = self._expected.rows(self._expected_start, self._expected_start + self.num_rows)
        came = run.rows(start, start + self.num_rows)
        self._shadow.settle(self, differs=disagrees(self._shadow.challenger.manifest.task, expected, came))

    def refuse(self, error: Exception) -> None:
        """It is dropped where there is no room; a challenger that cannot run what the champion could disagrees."""
        if isinstance(error, ExhaustedError):
            self._shadow.drop(self)
            return
        logger.debug("model %s: the shadow failed: %s", self._shadow.challenger.name, error)
        self._shadow.settle(self, differs=True)
