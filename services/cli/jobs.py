"""Commands on the training service's jobs: `jobs`, `watch`, `cancel`, `resume`, and `upload` of their data."""

import json
import re
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from services.cli.errors import AwayError, InputError
from services.cli.tables import print_table

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from services.cli.training_client import TrainingClient
    from services.training.pb import training_pb2 as pb


class State(StrEnum):
    """The states of a job, as people write them."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


Address = Annotated[
    str,
    typer.Option("--address", envvar="DRIVETRAIN_TRAINING_ADDRESS", help="HOST:PORT of the training service."),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job, or at least its first 6 characters.")]

_RECENT = 1000
"""Jobs among which the beginning of an id is looked for."""


def jobs(
    state: Annotated[list[State] | None, typer.Option("--state", help="Only in this state; may be repeated.")] = None,
    model: Annotated[str, typer.Option("--model", help="Only of this model.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many, newest first.")] = 20,
    output: Annotated[Literal["table", "json"], typer.Option("--output", help="How to print them.")] = "table",
    address: Address = "localhost:8003",
) -> None:
    """List the jobs of the training service.

    Example: drivetrain jobs --state running --state queued --model digits-cnn
    """
    from services.cli.training_client import TrainingClient
    from services.training.pb import training_pb2 as pb

    states = [pb.JobState.Value(f"JOB_STATE_{each.name}") for each in state or []]
    with TrainingClient(address) as client:
        found = list(islice(client.jobs(states, model, page_size=min(limit, _RECENT)), limit))
    if output == "json":
        typer.echo(json.dumps([_as_json(job) for job in found], indent=2))
    elif found:
        print_table(_table(found))
    else:
        Console().print("no such jobs; submit one: drivetrain train digits-mlp --remote HOST:PORT", highlight=False)


def watch(
    job: JobId,
    logs: Annotated[bool, typer.Option("--logs", help="Show the job's log lines too.")] = False,
    address: Address = "localhost:8003",
) -> None:
    """Show a job of the training service from its beginning until it ends; Ctrl-C leaves it running (exit code 130).

    The exit code is the job's: 0 if it finishes, 1 if it fails or is killed. If the service is away meanwhile, the
    command waits.

    Example: drivetrain watch 4f1c2a9b --logs
    """
    from services.cli.follow import follow
    from services.cli.training_client import TrainingClient

    with TrainingClient(address) as client:
        follow(client, find(client, job), Console(), logs=logs)


def cancel(job: JobId, address: Address = "localhost:8003") -> None:
    """End a job of the training service; its last checkpoint is kept, so that it can be resumed.

    Example: drivetrain cancel 4f1c2a9b
    """
    from services.cli.training_client import ENDED_STATES, TrainingClient, state_name

    with TrainingClient(address) as client:
        cancelled = client.cancel(find(client, job).id)
    told = state_name(cancelled.state) if cancelled.state in ENDED_STATES else "is being cancelled"
    Console().print(f"job {cancelled.id} of {cancelled.model}: {told}", highlight=False, soft_wrap=True)


def resume(
    job: JobId,
    detach: Annotated[bool, typer.Option("--detach", help="Of a service's job: do not wait for its end.")] = False,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            envvar="DRIVETRAIN_TRAINING_ADDRESS",
            help="HOST:PORT of the training service; empty: what was trained here goes on here, else localhost:8003.",
        ),
    ] = "",
) -> None:
    """Continue a failed, killed or interrupted job from its last checkpoint, in the same run, and watch it.

    Example: drivetrain resume 4f1c2a9b
    """
    from services.cli.follow import follow, hint
    from services.cli.here import resume_here, run_here
    from services.cli.training_client import TrainingClient

    if not address and (run_id := run_here(job)):
        resume_here(run_id)
        return
    console, service = Console(), address or "localhost:8003"
    with TrainingClient(service) as client:
        try:
            found = find(client, job)
        except AwayError:
            if address:
                raise
            raise InputError(
                f"JOB: expected the id of a run that was trained here, or of a job of the service at {service}, "
                f"came {job!r}: there is no such run, and no service answers there"
            ) from None
        resumed = client.resume(found.id)
        console.print(f"job {resumed.id} continues; {hint(resumed, service)}", highlight=False, soft_wrap=True)
        if not detach:
            follow(client, resumed, console)


def upload(
    file: Annotated[Path, typer.Argument(help="The file; its content is stored once under its SHA-256.")],
    address: Address = "localhost:8003",
) -> None:
    """Upload data to the training service and print the address that a spec names it by.

    drivetrain train --remote does it by itself. An upload that was cut goes on where it stopped.

    Example: drivetrain upload data/wine.csv
    """
    from services.cli.training_client import TrainingClient
    from services.cli.transfer import upload_with_progress

    if not file.is_file():
        raise InputError(f"FILE: expected an existing file, came {str(file)!r}")
    with TrainingClient(address) as client:
        uploaded = upload_with_progress(client, file, Console(stderr=True))
    typer.echo(uploaded.address)


def find(client: "TrainingClient", job: str) -> "pb.Job":
    """The job of this id, or the only recent one whose id begins so. Raises InputError."""
    if not re.fullmatch(r"[0-9a-f]{6,31}", job):
        return client.get(job)
    found = [each for each in islice(client.jobs(), _RECENT) if each.id.startswith(job)]
    if len(found) != 1:
        came = f"{job!r}, with which {len(found) or 'none'} of the last {_RECENT} begin"
        raise InputError(f"JOB: expected the id of a job, or the beginning of just one, came {came}")
    return found[0]


def _table(found: "list[pb.Job]") -> Table:
    from services.cli.training_client import state_name

    table = Table("job", "model", "state", "submitted", "seconds", "attempt", "version", "reason", box=None)
    for job in found:
        submitted = job.submitted_at.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        seconds = f"{_seconds(job):.0f}" if job.HasField("started_at") else ""
        attempt = str(job.attempt or "")
        table.add_row(
            job.id[:8], job.model, state_name(job.state), submitted, seconds, attempt, job.version, job.reason
        )
    return table


def _seconds(job: "pb.Job") -> float:
    """How long the job has run, its waits for another attempt among it."""
    until = job.ended_at.ToDatetime(UTC) if job.HasField("ended_at") else datetime.now(UTC)
    return (until - job.started_at.ToDatetime(UTC)).total_seconds()


def _as_json(job: "pb.Job") -> dict[str, object]:
    from services.cli.training_client import state_name

    return {
        "id": job.id,
        "model": job.model,
        "state": state_name(job.state),
        "reason": job.reason,
        "key": job.idempotency_key,
        "submitted_at": _iso(job.submitted_at),
        "started_at": _iso(job.started_at) if job.HasField("started_at") else None,
        "ended_at": _iso(job.ended_at) if job.HasField("ended_at") else None,
        "attempt": job.attempt,
        "epochs": job.epochs,
        "version": job.version or None,
        "spec": job.spec,
    }


def _iso(moment: "Timestamp") -> str:
    return moment.ToDatetime(UTC).isoformat(timespec="milliseconds")
