"""What the service does, whichever transport asks: check, submit, find, cancel and resume jobs. Knows no messages."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote
from weakref import WeakValueDictionary

from pipelines.errors import Mismatch, SpecError
from pipelines.spec.data import BUNDLED_SCHEME, CONTENT_SCHEME, FileSource
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec, dump_spec, parse_yaml
from services.rpc.background import in_daemon_thread
from services.rpc.errors import InvalidRequestError
from services.training.capacity import driver_demand, shortage, shortage_when_grown
from services.training.cluster import Node, RayCluster
from services.training.controller import Controller
from services.training.datasets import DatasetStore
from services.training.errors import (
    CapacityError,
    InvalidSpecError,
    JobStateError,
    KeyReusedError,
    QueueFullError,
)
from services.training.jobs import ENDED, Filter, Job, JobStore
from services.training.settings import Settings

MAX_SPEC_CHARS = 200_000
MAX_PAGE = 1000
DEFAULT_PAGE = 100

_KEY = re.compile(r"[A-Za-z0-9._-]{1,128}")
_AT_A_TIME = 8
"""Submissions that talk to MLflow at the same time."""


@dataclass(frozen=True)
class Submission:
    """A job, and whether this submission made it."""

    job: Job
    created: bool


class JobManager:
    """The service behind a servicer. Every method raises TrackingAwayError where MLflow does not answer."""

    def __init__(
        self, store: JobStore, cluster: RayCluster, controller: Controller, datasets: DatasetStore, settings: Settings
    ) -> None:
        self._store, self._cluster, self._controller = store, cluster, controller
        self._datasets, self._settings = datasets, settings
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # kept by those who hold them
        self._turnstile = asyncio.Semaphore(_AT_A_TIME)
        self._num_coming = 0

    async def validate(self, text: str) -> TrainingSpec:
        """The spec that a YAML text gives. Raises InvalidSpecError, or CapacityError if the cluster can't run it."""
        spec = await asyncio.to_thread(self._parse, text)
        await self._check_capacity(spec)
        return spec

    async def submit(self, text: str, key: str) -> Submission:
        """Queue a job, or find the one that was submitted under this key.

        Raises InvalidSpecError, CapacityError, KeyReusedError, QueueFullError, ClusterAwayError.
        """
        if key and not _KEY.fullmatch(key):
            raise InvalidRequestError("idempotency_key", "up to 128 letters, digits, '.', '_' and '-'", repr(key[:200]))
        spec = await asyncio.to_thread(self._parse, text)
        if not key:
            return await self._create(spec, key)
        # Shielded: a caller that gives up must not let the next one in before this one's job is there to be found.
        return await asyncio.shield(self._submit_once(spec, key))

    async def _submit_once(self, spec: TrainingSpec, key: str) -> Submission:
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await self._found(spec, key) or await self._create(spec, key)

    async def get(self, job_id: str) -> Job:
        """The job of this id. Raises UnknownJobError."""
        return await in_daemon_thread(self._store.get, job_id)

    async def page(self, wanted: Filter, size: int, token: str) -> tuple[list[Job], str]:
        """A page of jobs, newest first, and the token of the next one."""
        if not 0 <= size <= MAX_PAGE:
            raise InvalidRequestError("page_size", f"0 to {MAX_PAGE}", str(size))
        return await in_daemon_thread(self._store.page, wanted, size or DEFAULT_PAGE, token)

    async def cancel(self, job_id: str) -> Job:
        """Ask for the job's end; the controller sees to it. Raises UnknownJobError, JobStateError."""
        job = await self.get(job_id)
        if job.state == "KILLED":
            return job
        if job.state in ENDED:
            raise JobStateError(job_id, job.state, "a job that has not ended")
        await in_daemon_thread(self._store.request_cancel, job)
        self._controller.poke()
        return await self.get(job_id)

    async def resume(self, job_id: str) -> Job:
        """Queue a failed or killed job again. Raises UnknownJobError, JobStateError, CapacityError, QueueFullError."""
        lock = self._locks.setdefault(job_id, asyncio.Lock())
        async with lock:
            return await self._resume(job_id)

    async def _resume(self, job_id: str) -> Job:
        job = await self.get(job_id)
        if job.state not in ("FAILED", "KILLED"):
            raise JobStateError(job_id, job.state, "a FAILED or KILLED job")
        if job.phase != "done":
            raise JobStateError(job_id, f"{job.state} and its logs are being kept", "a job that is closed")
        await self._check_capacity(await asyncio.to_thread(self._parse, job.spec))
        self._check_queue()
        await in_daemon_thread(self._store.resume, job)
        self._controller.poke()
        return await self.get(job_id)

    async def _found(self, spec: TrainingSpec, key: str) -> Submission | None:
        async with self._turnstile:
            job = await in_daemon_thread(self._store.by_key, key)
        if job is None:
            return None
        if job.spec != dump_spec(spec):
            raise KeyReusedError(key, job.id)
        return Submission(job, created=False)

    async def _create(self, spec: TrainingSpec, key: str) -> Submission:
        await self._check_capacity(spec)
        self._check_queue()
        self._num_coming += 1  # the queue sees it later, when others may have passed the check
        try:
            async with self._turnstile:
                job = await in_daemon_thread(self._store.create, spec, key)
            self._controller.expect(job)
        finally:
            self._num_coming -= 1
        return Submission(job, created=True)

    def _check_queue(self) -> None:
        if self._controller.num_queued + self._num_coming >= self._settings.max_queued_jobs:
            raise QueueFullError(self._settings.max_queued_jobs)

    async def _check_capacity(self, spec: TrainingSpec) -> None:
        limits = self._settings
        if limits.max_cpus:
            reason = shortage_when_grown(spec.compute, limits.max_cpus, limits.max_gpus)
        else:
            nodes: tuple[Node, ...] = await self._cluster.nodes()
            reason = shortage(spec.compute, driver_demand(limits.driver_resource), nodes)
        if reason:
            raise CapacityError(reason)

    def _parse(self, text: str) -> TrainingSpec:
        if len(text) > MAX_SPEC_CHARS:
            raise InvalidRequestError("spec", f"at most {MAX_SPEC_CHARS} characters", f"{len(text)}")
        try:
            spec = build_spec(parse_yaml(text, "spec"))
        except SpecError as error:
            raise InvalidSpecError(error.mismatches) from error
        if isinstance(spec.data, FileSource) and (wrong := self._wrong_path(spec.data.path)):
            raise InvalidSpecError((wrong,))
        return spec

    def _wrong_path(self, address: str) -> Mismatch | None:
        """What is wrong with a path that the cluster, not the caller's machine, would read."""
        root, path, shown = self._settings.data_root, Path(address), repr(address)
        if address.startswith(BUNDLED_SCHEME):
            return None
        if address.startswith(CONTENT_SCHEME):
            held = self._datasets.exists(address.removeprefix(CONTENT_SCHEME))
            return None if held else Mismatch("data.path", "content that was uploaded (drivetrain upload FILE)", shown)
        if "://" in address:
            return self._wrong_remote(address)
        if root is None:
            return Mismatch("data.path", "content that was uploaded, as sha256:HEX (drivetrain upload FILE)", shown)
        if not path.is_absolute() or not path.resolve().is_relative_to(root.resolve()):
            return Mismatch("data.path", f"uploaded content as sha256:HEX, or a file under {root}", shown)
        return None

    def _wrong_remote(self, address: str) -> Mismatch | None:
        """What is wrong with an address that the cluster would ask a store for, with its own rights there."""
        prefix = self._settings.data_prefix
        if prefix and address.startswith(prefix) and not _leaves(address):
            return None
        allowed = f", or an address under {prefix}" if prefix else ""
        expected = f"uploaded content as sha256:HEX{allowed}"
        return Mismatch("data.path", expected, repr(address))


def _leaves(address: str) -> bool:
    """Whether it goes up, or into what another address wraps, once a store's client has decoded it.

    What is encoded twice counts as that too: a client may decode it again, and undoing all of it takes quadratic time.
    """
    plain = unquote(address)
    return ".." in re.split(r"[/\\]", plain) or "::" in plain or unquote(plain) != plain
