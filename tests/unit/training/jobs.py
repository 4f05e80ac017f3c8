"""Jobs to decide about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.training.jobs import Job

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

_JOB = Job(
    id="0" * 32,
    model="digits",
    state="RUNNING",
    phase="started",
    reason="",
    key="",
    submitted=NOON,
    started=NOON,
    ended=None,
    attempt=1,
    restarts=0,
    retries=3,
    epochs=10,
    cancel_requested=False,
    spec="",
    version="",
)


def job(**fields: object) -> Job:
    """A running job; `fields` replace its own."""
    return replace(_JOB, **fields)  # type: ignore[arg-type] # the tests know the fields


def waiting(model: str, minutes: int) -> Job:
    """A job of a model that was submitted so many minutes after noon, and waits."""
    submitted = NOON + timedelta(minutes=minutes)
    return job(id=f"{model}-{minutes}", model=model, state="QUEUED", phase="queued", attempt=0, submitted=submitted)
