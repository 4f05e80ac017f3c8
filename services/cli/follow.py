"""Showing a job of the training service until it ends."""

import os

from rich.console import Console

from services.cli.errors import JobError
from services.cli.progress import TrainingProgress
from services.cli.result import Result
from services.cli.training_client import TrainingClient
from services.training.pb import training_pb2 as pb

ADDRESS_VARIABLE = "DRIVETRAIN_TRAINING_ADDRESS"
DEFAULT_ADDRESS = "localhost:8003"

_WARNINGS = "services.training.journal"
"""Who logs what looks wrong about a job; that is shown without asking for the log."""

_STAGES = {pb.JOB_STATE_QUEUED: "waiting for its turn", pb.JOB_STATE_STARTING: "starting on Ray"}


def follow(client: TrainingClient, job: pb.Job, console: Console, *, logs: bool = False) -> None:
    """Show a job as a local one is shown, from its beginning to its end; Ctrl-C leaves it running.

    Raises JobError unless it finishes.
    """
    try:
        with TrainingProgress(console, job.model, job.epochs) as progress:
            job, outcome = _show(client, job, progress, logs=logs)
    except KeyboardInterrupt:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"detached, the job goes on; {hint(job, client.address)}"
        )
        raise
    if job.state != pb.JOB_STATE_FINISHED:
        verb = "failed" if job.state == pb.JOB_STATE_FAILED else "was killed"
        again = f"continue it with: drivetrain resume {job.id[:8]}{_where(client.address)}"
        raise JobError(f"job {job.id} {verb}: {job.reason or 'no reason is known'}; {again}")
    told = Result.of_remote(job, outcome).describe() if outcome else f"{job.model} version {job.version}; run {job.id}"
    console.print(told, highlight=False, soft_wrap=True)


def hint(job: pb.Job, address: str) -> str:
    """How to come back to a job, or end it."""
    short = f"{job.id[:8]}{_where(address)}"
    return f"watch it: drivetrain watch {short}; end it: drivetrain cancel {short}"


def _show(
    client: TrainingClient, job: pb.Job, progress: TrainingProgress, *, logs: bool
) -> tuple[pb.Job, pb.Outcome | None]:
    """The job as it ended, and what it came to if it told."""
    outcome: pb.Outcome | None = None
    for event in client.watch(job.id, lambda reason: progress.note(f"{reason}; waiting, the job goes on")):
        match event.WhichOneof("event"):
            case "job":
                job = event.job
                _show_state(job, progress)
            case "stage":
                progress.stage(event.stage.text)
            case "epoch":
                progress.epoch(event.epoch.epoch, event.epoch.metrics)
            case "log" if logs or event.log.logger == _WARNINGS:
                progress.note(f"{event.log.level} {event.log.logger}: {event.log.text}")
            case "outcome":
                outcome = event.outcome
    return job, outcome


def _show_state(job: pb.Job, progress: TrainingProgress) -> None:
    if job.state in _STAGES:
        reason = f": {job.reason}" if job.reason else ""
        progress.stage(f"{_STAGES[job.state]}{reason}")


def _where(address: str) -> str:
    """The option that leads the other commands to the same service, where they would not go by themselves."""
    usual = os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS
    return "" if address == usual else f" --address {address}"
