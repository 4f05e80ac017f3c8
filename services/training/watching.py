"""Watching jobs: one look-out a watched job, however many watchers it has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

from services.rpc.background import in_daemon_thread
from services.rpc.errors import CallError, InvalidRequestError, StoppingError
from services.training.controller import Controller
from services.training.errors import TrackingAwayError
from services.training.feed import Entry, Position, journal_size, read_block
from services.training.jobs import ENDED, Job, JobStore
from services.training.journal import attempt_path

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Sighting:
    """What a watcher gets: a job in a new state, an entry of its journal, or a sign of life (None)."""

    position: Position
    what: Job | Entry | None


class _Lookout:
    """Notices that a job or its journal has changed, and rings everybody who watches it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.watchers = 0
        self.bell = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        self._size = 0

    def look(self, job: Job | None, size: int) -> None:
        if (job is not None and job != self.job) or size != self._size:
            self.job, self._size = job or self.job, size
            self.ring()

    def ring(self) -> None:
        self.bell.set()
        self.bell = asyncio.Event()


class Watch:
    """All watching of one service."""

    def __init__(self, store: JobStore, controller: Controller, heartbeat_s: float) -> None:
        self._store, self._controller, self._heartbeat_s = store, controller, heartbeat_s
        self._lookouts: dict[str, _Lookout] = {}
        self._stopping = False

    def stop(self) -> None:
        """Send every watcher away; the service's successor has what comes after their cursors."""
        self._stopping = True
        for lookout in self._lookouts.values():
            lookout.ring()

    async def events(self, job_id: str, cursor: str) -> AsyncIterator[Sighting]:
        """What happens to a job after the cursor, until the job has ended.

        Raises UnknownJobError, InvalidRequestError for a wrong cursor, TrackingAwayError, StoppingError.
        """
        position = _parse(cursor)
        lookout = await self._join(job_id)
        try:
            while True:
                if self._stopping:
                    raise StoppingError
                if lookout.error is not None:
                    raise lookout.error
                bell, job = lookout.bell, lookout.job
                if job.state not in ENDED and _told(job) != position.state:
                    position = replace(position, state=_told(job))
                    yield Sighting(position, job)
                async for sighting in _entries(job, position):
                    position = sighting.position
                    yield sighting
                if job.state in ENDED:
                    yield Sighting(replace(position, state=_told(job)), job)
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._heartbeat_s):
                        await bell.wait()
                    continue
                yield Sighting(position, None)
        finally:
            self._leave(job_id, lookout)

    async def _join(self, job_id: str) -> _Lookout:
        lookout = self._lookouts.get(job_id)
        if lookout is None or (lookout.task is not None and lookout.task.done()):  # that one has seen the end
            self._lookouts.pop(job_id, None)
            job = self._on_board(job_id)
            if job is None:
                job = await in_daemon_thread(self._store.get, job_id)
            lookout = self._lookouts.setdefault(job_id, _Lookout(job))  # another watcher may have been quicker
        lookout.watchers += 1
        if lookout.task is None:
            lookout.task = asyncio.create_task(self._look_out(lookout))
        return lookout

    def _leave(self, job_id: str, lookout: _Lookout) -> None:
        lookout.watchers -= 1
        if not lookout.watchers:
            if self._lookouts.get(job_id) is lookout:
                del self._lookouts[job_id]
            if lookout.task is not None:
                lookout.task.cancel()

    def _on_board(self, job_id: str) -> Job | None:
        """The job as of the last look; None if it had ended then, as it may have been resumed meanwhile."""
        job = self._controller.board.get(job_id)
        return None if job is None or job.state in ENDED else job

    async def _look_out(self, lookout: _Lookout) -> None:
        while lookout.job.state not in ENDED:
            await asyncio.sleep(LOOK_EVERY_S)
            job = self._on_board(lookout.job.id)
            if job is None:  # ended and closed since the last look, or MLflow is away
                try:
                    job = await in_daemon_thread(self._store.get, lookout.job.id)
                except TrackingAwayError:
                    pass
                except CallError as error:  # its run was deleted
                    lookout.error = error
                    lookout.ring()
                    return
            path = attempt_path(lookout.job.id, max(lookout.job.attempt, 1))
            lookout.look(job, await asyncio.to_thread(journal_size, path))


async def _entries(job: Job, position: Position) -> AsyncIterator[Sighting]:
    """The journals' entries from a position to the end of what is written now, attempt after attempt."""
    for attempt in range(position.attempt, job.attempt + 1):
        if attempt != position.attempt:
            position = replace(position, attempt=attempt, offset=0)
        path = attempt_path(job.id, attempt)
        while block := await asyncio.to_thread(read_block, path, position.offset):
            for entry in block:
                position = replace(position, offset=entry.end)
                yield Sighting(position, entry)


def _told(job: Job) -> str:
    """The state as a cursor keeps it; a new attempt in the same state is news too."""
    return f"{job.state}{job.attempt}"


def _parse(cursor: str) -> Position:
    try:
        return Position.parse(cursor)
    except ValueError as error:
        raise InvalidRequestError("cursor", "the cursor of an event, or nothing", repr(cursor[:100])) from error
