"""Natural batching: what has arrived while the last batch ran is the next batch. No delay when idle, none to tune.

A version runs one batch at a time, in whichever thread was told to work its queue: `submit` says when nobody does.
Nothing needs closing: a version that was replaced answers what it holds and is then freed with the last reference.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import numpy as np
from typing_extensions import Buffer

from pipelines.registry.manifest import NUMPY_DTYPES, Tensor
from services.prediction.budget import Budget
from services.prediction.call_queue import CallQueue
from services.prediction.calls import DEFAULT_PRIORITY, Array, Arrays, Call, Content, Lane, Run, split
from services.prediction.errors import DeadlineExpiredError, LongWaitError, MemoryFullError, QueueFullError
from services.prediction.future_call import FutureCall
from services.prediction.metrics import BatchTimes, VersionMetrics
from services.prediction.pace import Pace
from services.prediction.tracing import Hook, untraced
from services.prediction.worker import Worker
from services.rpc.errors import ExhaustedError

FORGETTING = 0.9
"""How much of the expected time stays after a run that was faster."""


class Model(Protocol):
    """What the batcher runs."""

    @property
    def name(self) -> str:
        """Of the registered model."""

    @property
    def inputs(self) -> Sequence[Tensor]:
        """What it takes, in the manifest's order."""

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name, with as many rows as the inputs; called in any thread, never twice at a time."""


class Batcher:
    """The queue of one model version."""

    def __init__(
        self,
        model: Model,
        metrics: VersionMetrics,
        budget: Budget,
        max_batch_size: int,
        max_queue_requests: int,
        max_queue_delay_s: float = 0.0,
        max_queue_wait_s: float = math.inf,
    ) -> None:
        self._model, self._metrics, self._budget = model, metrics, budget
        self._max_batch_size, self._max_queue_requests = max_batch_size, max_queue_requests
        self._max_queue_delay_s, self._pace = max_queue_delay_s, Pace(max_queue_wait_s)
        self._queue, self._running_rows, self._held_bytes = CallQueue(), 0, 0
        self._guard = threading.Lock()
        self._filled = threading.Condition(self._guard)
        self._working = False
        self.expected_s: float = max_queue_delay_s
        """How long the next run may take whoever does it."""
        self._worker = Worker(f"inference-{model.name}")
        self.shadow: Callable[[Sequence[Call], Run], object] = unseen
        """Given each batch that was answered, with its run; returns at once, and never raises."""
        self.traced: Hook = untraced

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._working

    async def infer(
        self,
        inputs: Arrays,
        num_rows: int,
        deadline_s: float = math.inf,
        priority: int = DEFAULT_PRIORITY,
    ) -> Arrays:
        """Outputs for this request's `(rows, ...)` inputs. `deadline_s` is a time of `time.monotonic()`.

        Raises QueueFullError, LongWaitError, MemoryFullError, DeadlineExpiredError, or what the model raises.
        """
        contents = [inputs[tensor.name] for tensor in self._model.inputs]
        lane = Lane(priority, tuple(content.shape[1:] for content in contents))
        call = FutureCall(contents, lane, num_rows, deadline_s)
        if self.submit([call]):
            self.work_in_thread()
        return await call.outputs()

    def submit(self, calls: Sequence[Call]) -> bool:
        """Queue calls, and refuse those for which there is no room.

        True if nobody works the queue: the caller must have it worked then, one way or the other.
        """
        with self._guard:
            refused, dead = self._push(calls)
            was_idle, self._working = not self._working, self._working or len(self._queue) > 0
            self._metrics.pending = len(self._queue)
            if self._max_queue_delay_s and self._queue.num_rows >= self._max_batch_size:
                self._filled.notify()
        self._drop(dead)
        for call, error in refused:
            call.refuse(error)
        return was_idle and self._working

    def _push(self, calls: Sequence[Call]) -> tuple[list[tuple[Call, ExhaustedError]], list[Call]]:
        """Queue calls, in parts where they are large. Those for which there is no room, and the dead that made room."""
        if self._refusal(calls) is None:  # nearly always: one look for all of them
            self._queue_up(calls)
            return [], []
        dead = self._queue.drop_dead(time.monotonic())  # once: it takes as long as the queue is
        self._give_back(dead)
        refused = []
        for call in calls:
            if (error := self._refusal([call])) is None:
                self._queue_up([call])
            else:
                refused.append((call, error))
        return refused, dead

    def _refusal(self, calls: Sequence[Call]) -> ExhaustedError | None:
        """Why there is no room for all of these; if there is, their bytes are taken."""
        if len(self._queue) + len(calls) > self._max_queue_requests:
            return QueueFullError(self._model.name, self._max_queue_requests)
        num_rows_before = sum([call.num_rows for call in calls[:-1]])
        if self._queue.num_rows + num_rows_before + self._running_rows > self._pace.max_rows_ahead:
            lowest = max(call.lane.priority for call in calls)
            rows_waiting = self._queue.rows_until(lowest) + num_rows_before
            rows_ahead = rows_waiting + self._running_rows
            if rows_waiting and rows_ahead > self._pace.max_rows_ahead:
                return LongWaitError(self._model.name, self._pace.expected_wait_s(rows_ahead), self._pace.max_s)
        size_bytes = sum([call.size_bytes for call in calls])
        before_last_bytes = self._held_bytes + size_bytes - calls[-1].size_bytes  # as if they came one by one
        if not self._budget.take(size_bytes, before_last_bytes):
            return MemoryFullError(self._budget.max_bytes)
        self._held_bytes += size_bytes
        return None

    def _queue_up(self, calls: Sequence[Call]) -> None:
        if max([call.num_rows for call in calls]) > self._max_batch_size:
            calls = [part for call in calls for part in split(call, self._max_batch_size)]
        self._queue.push(calls)

    def _give_back(self, calls: Sequence[Call]) -> None:
        size_bytes = sum([call.size_bytes for call in calls])
        self._held_bytes -= size_bytes
        self._budget.give_back(size_bytes)

    def work_in_thread(self) -> None:
        """Work the queue in the version's own thread, until it is empty."""
        self._worker.do(self.work)

    def work(self) -> None:
        """Work the queue until it is empty."""
        more = True
        while more:
            if self._max_queue_delay_s:
                self._await_company()
            more = self.run_batch()

    def _await_company(self) -> None:
        with self._filled:
            self._filled.wait_for(lambda: self._queue.num_rows >= self._max_batch_size, self._max_queue_delay_s)

    def run_batch(self) -> bool:
        """Run the next batch. False if nothing is left: whoever worked the queue is released."""
        with self._guard:
            taken = self._queue.take(self._max_batch_size, time.monotonic())
            self._running_rows = taken.num_rows
            self._metrics.pending = len(self._queue)
            self._give_back(taken.batch + taken.dropped)
        self._drop(taken.dropped)
        if taken.batch:
            self._run(taken.batch)
        with self._guard:
            self._working = len(self._queue) > 0
            self._pace.observe(self._running_rows, time.monotonic(), more=self._working)
            self._running_rows = 0
            return self._working

    def _run(self, batch: Sequence[Call]) -> None:
        started_s = time.monotonic()
        try:
            inputs = join(batch, self._model.inputs)
            joined_s = time.monotonic()
            run = Run(self._model.run(inputs))
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
            self._run_apart(batch, error)
            return
        ran_s = time.monotonic()
        self.expected_s = max(ran_s - joined_s, self.expected_s * FORGETTING, self._max_queue_delay_s)
        times = BatchTimes(started_s, joined_s, ran_s)
        self._metrics.observe_batch(batch, times)  # who is answered finds it counted
        start = 0
        for call in batch:
            try:
                call.answer(run, start)
            except Exception as error:  # noqa: BLE001 - its neighbours still have to be answered
                call.refuse(error)
            start += call.num_rows
        self._metrics.observe_answers(time.monotonic() - ran_s)
        self.shadow(batch, run)
        self.traced(batch, times)

    def _run_apart(self, batch: Sequence[Call], error: Exception) -> None:
        """A batch failed: each call for itself, so that only the one that the model cannot bear fails."""
        if len(batch) == 1:
            batch[0].refuse(error)
            return
        for call in batch:
            self._run([call])

    def _drop(self, calls: Sequence[Call]) -> None:
        for call in calls:
            if not call.cancelled:
                call.refuse(DeadlineExpiredError(self._model.name))


def unseen(batch: Sequence[Call], run: Run) -> None:
    """Nobody shadows the version."""


def join(calls: Sequence[Call], tensors: Sequence[Tensor]) -> dict[str, Array]:
    """The inputs of a batch by name, `(rows, ...)`: the calls' rows one after another, copied once at most."""
    num_rows = sum([call.num_rows for call in calls])
    joined = {}
    for position, tensor in enumerate(tensors):
        shape = (num_rows, *calls[0].lane.row_shapes[position])
        contents = [call.contents[position] for call in calls]
        joined[tensor.name] = _joined(contents, NUMPY_DTYPES[tensor.datatype]).reshape(shape)
    return joined


def _joined(contents: Sequence[Content], dtype: "np.dtype[np.generic]") -> Array:
    if dtype.hasobject:
        return np.concatenate([np.asarray(content) for content in contents])
    content = contents[0] if len(contents) == 1 else b"".join(cast(Sequence[Buffer], contents))
    return np.frombuffer(content, dtype)
