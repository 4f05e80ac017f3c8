"""What becomes of a job, given what MLflow and Ray say of it. Pure: the controller carries it out.

The same rules hold at every look, so that a service that was restarted, or a cluster that came back, needs no others.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.training.cluster import RayJob
from services.training.jobs import ENDED, Job


@dataclass(frozen=True)
class Wait:
    """Nothing to do now."""


@dataclass(frozen=True)
class Stop:
    """Ask Ray to end the attempt."""

    def __str__(self) -> str:
        return "Ray is asked to end it"


@dataclass(frozen=True)
class QueueAgain:
    """The attempt is lost: another one goes on from the last checkpoint."""

    reason: str
    is_restart: bool = True
    """Whether it counts against `training.retries`; not if the attempt never began."""

    def __str__(self) -> str:
        return f"queued again, {self.reason}"


@dataclass(frozen=True)
class End:
    """End the run, as no driver will."""

    state: Literal["FAILED", "KILLED"]
    reason: str

    def __str__(self) -> str:
        return f"now {self.state}, {self.reason}"


@dataclass(frozen=True)
class Close:
    """The job has ended: keep its logs."""

    def __str__(self) -> str:
        return "its logs are kept"


Decision = Wait | Stop | QueueAgain | End | Close


def originals(jobs: Iterable[Job]) -> dict[str, str]:
    """The job that each double among `jobs` is a double of, by id.

    Doubles have the idempotency key of another job. They come of a submission that MLflow took after its caller, and
    this service, had given it up and tried again.
    """
    of_key: dict[str, Job] = {}
    doubles = {}
    for job in sorted(jobs, key=lambda job: job.precedence):
        original = of_key.setdefault(job.key, job) if job.key else job
        if original is not job and job.attempt == 0:
            doubles[job.id] = original.id
    return doubles


def decide(job: Job, ray: RayJob | None, original: str = "") -> Decision:
    """The next step of an unfinished job; `ray` is what Ray knows of its attempt, None if nothing.

    Ray has to be asked before MLflow: an attempt that Ray calls over has written its last word by then. `original` is
    the job that this one is a double of.
    """
    if job.state == "QUEUED":
        if original:
            return End("KILLED", f"submitted under the same key as job {original}, which goes on")
        return End("KILLED", "cancelled before it began") if job.cancel_requested else Wait()
    if job.state in ENDED:
        return Wait() if ray is not None and ray.status == "RUNNING" else Close()
    if ray is not None and ray.is_active:
        if not job.cancel_requested:
            return Wait()
        # Ray stops what runs; what still waits for resources would have to begin for that.
        return Stop() if ray.status == "RUNNING" else End("KILLED", "cancelled before it began")
    if job.cancel_requested:
        return End("KILLED", "cancelled")
    if ray is not None and ray.status == "STOPPED":
        return End("KILLED", "stopped on the Ray cluster")
    lost = _told(ray)
    if ray is None and job.state == "STARTING":
        return QueueAgain(lost, is_restart=False)
    if job.restarts < job.retries:
        return QueueAgain(lost)
    return End("FAILED", f"{lost}; training.retries allows {job.retries} restarts and there were {job.restarts}")


def _told(ray: RayJob | None) -> str:
    if ray is None:
        return "the Ray cluster does not know the job: it was restarted, or never given it"
    return f"the driver ended without closing the run: {' '.join(ray.message.split())[:300] or ray.status}"
