"""What becomes of a job, given what MLflow and Ray say of it. Pure: the controller carries it out.

The same rules hold at every look, so that a service that was restarted, or a cluster that came back, needs no others.
"""

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


def decide(job: Job, ray: RayJob | None) -> Decision:
    """The next step of an unfinished job; `ray` is what Ray knows of its attempt, None if nothing.

    Ray has to be asked before MLflow: an attempt that Ray calls over has written its last word by then.
    """
    if job.state == "QUEUED":
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
    if job.restarts < job.retries:
        return QueueAgain(lost)
    return End("FAILED", f"{lost}; training.retries allows {job.retries} restarts and there were {job.restarts}")


def _told(ray: RayJob | None) -> str:
    if ray is None:
        return "the Ray cluster no longer knows the job: it was restarted"
    return f"the driver ended without closing the run: {' '.join(ray.message.split())[:300] or ray.status}"
