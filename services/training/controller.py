"""Brings MLflow and Ray together, again and again: starts jobs in turn, restarts lost ones, ends and closes others.

Each look asks Ray, then MLflow, decides, and acts; a restarted service goes on from what those two say.
"""

import asyncio
import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from services.rpc.background import in_daemon_thread
from services.rpc.logs import job_context
from services.training import record
from services.training.capacity import driver_demand
from services.training.cluster import RayCluster, RayJob
from services.training.errors import ClusterAwayError, TrackingAwayError, UnknownJobError
from services.training.jobs import Job, JobStore
from services.training.journal import attempt_path, write_fence
from services.training.leadership import Leadership
from services.training.meter import EpochMeter
from services.training.metrics import Metrics
from services.training.reconciliation import Close, Decision, End, QueueAgain, Stop, Wait, decide, originals
from services.training.settings import Settings
from services.training.turns import next_job

logger = logging.getLogger(__name__)

_AT_A_TIME = 8
"""Jobs for which MLflow and Ray are told something at the same time."""

_AFTER_REFUSAL_S = 5.0
"""Until Ray is given the next job where it would not take one: each try is an attempt in the job's history."""


class Controller:
    """Runs the jobs, or stands by while another service does."""

    def __init__(
        self, store: JobStore, cluster: RayCluster, leadership: Leadership, metrics: Metrics, settings: Settings
    ) -> None:
        self._store, self._cluster, self._leadership = store, cluster, leadership
        self._metrics, self._settings = metrics, settings
        self._meter = EpochMeter(metrics)
        self._wanted = asyncio.Event()
        self._turnstile = asyncio.Semaphore(_AT_A_TIME)
        self._last_turns: dict[str, datetime] = {}
        self._away = ""
        self._leads: bool | None = None
        self._starts_from_s = -math.inf
        self.synced = asyncio.Event()
        """Set when Ray and MLflow have both answered once."""
        self.board: dict[str, Job] = {}
        """The unfinished jobs as of the last look."""

    def poke(self) -> None:
        """Look again soon: something has changed."""
        self._wanted.set()

    def expect(self, job: Job) -> None:
        """A new job: it is on the board at once, and looked at soon."""
        self.board[job.id] = job
        self.poke()

    @property
    def num_queued(self) -> int:
        """Jobs that waited for their turn at the last look."""
        return sum(job.state == "QUEUED" for job in self.board.values())

    @property
    def num_running(self) -> int:
        """Jobs that Ray had at the last look."""
        return sum(_is_at_work(job) for job in self.board.values())

    async def run(self) -> None:
        """Look until cancelled; nothing that goes wrong ends it."""
        try:
            await self._look_again_and_again()
        finally:
            self._leadership.resign()

    async def _look_again_and_again(self) -> None:
        while True:
            self._wanted.clear()
            began_s = time.monotonic()
            try:
                await self.look()
                self._report_back()
            except (ClusterAwayError, TrackingAwayError) as error:
                self._report_away(str(error))
            except Exception:
                logger.exception("a look at the jobs failed; trying again")
            with suppress(TimeoutError):
                # Never more than half of the time: a long list of jobs must not keep MLflow busy with us.
                async with asyncio.timeout(max(self._settings.poll_interval_s, time.monotonic() - began_s)):
                    await self._wanted.wait()

    async def look(self) -> None:
        """One look, with whatever follows from it. Raises ClusterAwayError or TrackingAwayError."""
        # Before anything is read, so that nobody else acts on what is read.
        leads = await asyncio.to_thread(self._leadership.acquire)
        self._report_leadership(leads=leads)
        attempts = await self._cluster.jobs()
        jobs = await in_daemon_thread(self._store.unfinished)
        self.board = {job.id: job for job in jobs}
        self.synced.set()
        if leads:
            await self._act(jobs, attempts)

    async def _act(self, jobs: Sequence[Job], attempts: Mapping[str, RayJob]) -> None:
        await asyncio.to_thread(self._meter.read, jobs)
        self._metrics.observe(jobs)
        doubles = originals(jobs)
        settling = [self._settle(job, attempts, doubles.get(job.id, "")) for job in jobs]
        outcomes = await asyncio.gather(*settling, return_exceptions=True)  # one job's trouble is not the others'
        await self._start_waiting([job for job in jobs if job.id not in doubles])
        for trouble in filter(None, outcomes):
            raise trouble

    async def _settle(self, job: Job, attempts: Mapping[str, RayJob], original: str) -> None:
        decision = decide(job, attempts.get(job.submission_id), original)
        if isinstance(decision, Wait):
            return
        async with self._turnstile:
            with job_context(job.id), suppress(UnknownJobError):  # its run was deleted meanwhile
                logger.info("job %s of %s is %s: %s", job.id, job.model, job.state, decision)
                await self._carry_out(job, decision, attempts)
        if not isinstance(decision, Stop):  # of which nothing is to be seen yet
            self.poke()

    async def _carry_out(self, job: Job, decision: Decision, attempts: Mapping[str, RayJob]) -> None:
        match decision:
            case Stop():
                await self._cluster.stop(job.submission_id)
            case QueueAgain(reason, is_restart):
                await in_daemon_thread(self._store.queue_again, job, job.restarts + is_restart, reason)
                self._metrics.restarts.inc(is_restart)
            case End(state, reason):
                # A driver that outlived its Ray head must not touch the run any more.
                await asyncio.to_thread(write_fence, job.id, job.attempt + 1)
                await in_daemon_thread(self._store.end, job, state, reason)
                ray = attempts.get(job.submission_id)
                if ray is not None and ray.is_active:
                    await self._cluster.stop(job.submission_id)
                if job.state == "QUEUED":
                    await self._close(replace(job, state=state), attempts)
            case Close():
                await self._close(job, attempts)

    async def _close(self, job: Job, attempts: Mapping[str, RayJob]) -> None:
        printed, numbers = {}, range(1, job.attempt + 1)
        for number in numbers:
            submission_id = record.submission_id(job.id, number)
            if submission_id in attempts:
                with suppress(ClusterAwayError):  # the node that has it may be gone for good; the journals are here
                    printed[f"attempt-{number}.log"] = await self._cluster.logs(submission_id)
        paths = [attempt_path(job.id, number) for number in numbers]
        await in_daemon_thread(self._store.close, job, printed, [path for path in paths if path.exists()])
        self._metrics.ended.labels(job.state).inc()

    async def _start_waiting(self, jobs: Sequence[Job]) -> None:
        queued = [job for job in jobs if job.state == "QUEUED" and not job.cancel_requested]
        running = [job for job in jobs if _is_at_work(job)]
        while len(running) < self._settings.max_running_jobs and time.monotonic() >= self._starts_from_s:
            job = next_job(queued, running, self._last_turns)
            if job is None:
                return
            queued.remove(job)
            running.append(job)
            with job_context(job.id), suppress(UnknownJobError):
                await self._start(job)

    async def _start(self, job: Job) -> None:
        attempt = job.attempt + 1
        self._last_turns[job.model] = datetime.now(UTC)
        await asyncio.to_thread(write_fence, job.id, attempt)
        await in_daemon_thread(self._store.start, job, attempt)
        submission_id = record.submission_id(job.id, attempt)
        entrypoint = f"{self._settings.python} -m services.training.driver {job.id} {attempt}"
        metadata = {"job_id": job.id, "model": job.model}
        try:
            await self._cluster.submit(submission_id, entrypoint, _entrypoint_resources(self._settings), metadata)
        except ClusterAwayError as error:  # it did not begin: that is no restart
            self._starts_from_s = time.monotonic() + _AFTER_REFUSAL_S
            await in_daemon_thread(self._store.queue_again, job, job.restarts, str(error))
            raise
        if job.started is None:
            self._metrics.queue_seconds.observe((datetime.now(UTC) - job.submitted).total_seconds())
        logger.info("job %s of %s: Ray was given attempt %d", job.id, job.model, attempt)
        self.poke()

    def _report_leadership(self, *, leads: bool) -> None:
        if leads != self._leads:
            logger.info("looking after the jobs" if leads else "standing by: another service looks after the jobs")
        self._leads = leads

    def _report_away(self, what: str) -> None:
        if self._away != what:
            logger.warning("%s; jobs are looked at again when it is back", what)
        self._away = what

    def _report_back(self) -> None:
        if self._away:
            logger.info("MLflow and Ray answer again")
        self._away = ""


def _is_at_work(job: Job) -> bool:
    return job.state in ("STARTING", "RUNNING")


def _entrypoint_resources(settings: Settings) -> dict[str, object]:
    """What a driver takes, in the words of the Jobs API: never nothing, which would put it on the head."""
    demand = driver_demand(settings.driver_resource)
    return {"entrypoint_num_cpus": demand["CPU"]} if "CPU" in demand else {"entrypoint_resources": dict(demand)}
