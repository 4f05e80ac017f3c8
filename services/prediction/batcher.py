"""Natural batching: what has arrived while the last batch ran is the next batch. No delay when idle, none to tune.

Nothing needs closing: the task that works the queue lives only while there is something in it, so a version that was
replaced answers what it holds and is then freed with the last reference.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.prediction.errors import DeadlineExpiredError, QueueFullError
from services.prediction.metrics import VersionMetrics

Arrays = Mapping[str, NDArray[np.generic]]


class Model(Protocol):
    """What the batcher runs."""

    name: str

    def run(self, inputs: Arrays) -> Arrays:
        """Outputs by name, with as many rows as the inputs; called in a thread."""


@dataclass(eq=False)
class Pending:
    """A request in the queue; times are of `time.monotonic()`."""

    inputs: Arrays
    num_rows: int
    deadline_s: float
    answer: asyncio.Future[Arrays]
    queued_s: float = field(default_factory=time.monotonic)
    row_shapes: dict[str, tuple[int, ...]] = field(init=False)
    """Shape of one row by input: only requests that have it in common can share a batch."""

    def __post_init__(self) -> None:
        self.row_shapes = {name: array.shape[1:] for name, array in self.inputs.items()}


@dataclass(frozen=True)
class Forming:
    """What becomes of the queue: `batch` runs now, `expired` are refused, `waiting` stay, in their order."""

    batch: list[Pending]
    expired: list[Pending]
    waiting: list[Pending]


def form_batch(queue: Sequence[Pending], max_rows: int, now_s: float) -> Forming:
    """The oldest live request, and those of its shape behind it as long as they fit into `max_rows`.

    A request of more than `max_rows` runs alone. Cancelled ones are in none of the three lists.
    """
    live = [pending for pending in queue if not pending.answer.done()]
    forming = Forming([], [pending for pending in live if pending.deadline_s <= now_s], [])
    num_rows, full = 0, False
    for pending in (pending for pending in live if pending.deadline_s > now_s):
        alike = not forming.batch or pending.row_shapes == forming.batch[0].row_shapes
        full = full or (alike and num_rows > 0 and num_rows + pending.num_rows > max_rows)
        if alike and not full:
            forming.batch.append(pending)
            num_rows += pending.num_rows
        else:
            forming.waiting.append(pending)
    return forming


class Batcher:
    """The queue of one model version."""

    def __init__(
        self, model: Model, executor: Executor, metrics: VersionMetrics, max_batch_size: int, max_queue_requests: int
    ) -> None:
        self._model, self._executor, self._metrics = model, executor, metrics
        self._max_batch_size, self._max_queue_requests = max_batch_size, max_queue_requests
        self._queue: list[Pending] = []
        self._worker: asyncio.Task[None] | None = None

    async def infer(self, inputs: Arrays, num_rows: int, deadline_s: float) -> Arrays:
        """Outputs for this request's `(rows, ...)` inputs. `deadline_s` is a time of `time.monotonic()`.

        Raises QueueFullError, DeadlineExpiredError, or what the model raises.
        """
        if len(self._queue) >= self._max_queue_requests:
            self._queue = [pending for pending in self._queue if not pending.answer.done()]  # the cancelled leave
        if len(self._queue) >= self._max_queue_requests:
            raise QueueFullError(self._model.name, self._max_queue_requests)
        pending = Pending(inputs, num_rows, deadline_s, asyncio.get_running_loop().create_future())
        self._queue.append(pending)
        self._metrics.pending = len(self._queue)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await pending.answer

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._run_next()
        finally:
            self._worker = None

    async def _run_next(self) -> None:
        forming = form_batch(self._queue, self._max_batch_size, time.monotonic())
        self._queue = forming.waiting
        self._metrics.pending = len(self._queue)
        for pending in forming.expired:
            pending.answer.set_exception(DeadlineExpiredError(self._model.name))
        if forming.batch:
            await self._run(forming.batch)

    async def _run(self, batch: Sequence[Pending]) -> None:
        started_s = time.monotonic()
        try:
            outputs = await asyncio.get_running_loop().run_in_executor(self._executor, self._run_joined, batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, each caller must hear of it
            for pending in batch:
                _settle(pending, error)
            return
        self._metrics.observe_batch(
            num_rows=sum(pending.num_rows for pending in batch),
            queue_s=[started_s - pending.queued_s for pending in batch],
            compute_s=time.monotonic() - started_s,
        )
        for pending, its_outputs in zip(batch, outputs, strict=True):
            _settle(pending, its_outputs)

    def _run_joined(self, batch: Sequence[Pending]) -> list[Arrays]:
        """The outputs of each request, in order; runs in a thread."""
        if len(batch) == 1:
            return [self._model.run(batch[0].inputs)]
        joined = {name: np.concatenate([pending.inputs[name] for pending in batch]) for name in batch[0].inputs}
        outputs = self._model.run(joined)
        stops = np.cumsum([pending.num_rows for pending in batch]).tolist()
        starts = [0, *stops[:-1]]
        return [
            {name: array[start:stop] for name, array in outputs.items()}
            for start, stop in zip(starts, stops, strict=True)
        ]


def _settle(pending: Pending, answer: Arrays | Exception) -> None:
    if pending.answer.done():
        return  # its caller has gone
    if isinstance(answer, Exception):
        pending.answer.set_exception(answer)
    else:
        pending.answer.set_result(answer)
