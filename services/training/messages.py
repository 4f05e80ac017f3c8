"""Between what the service knows and the messages of its protocol."""

from datetime import UTC, datetime
from typing import Literal

from google.protobuf.timestamp_pb2 import Timestamp

from services.rpc.errors import InvalidRequestError
from services.training.datasets import Announcement, Dataset
from services.training.feed import Entry
from services.training.jobs import Filter, Job, State
from services.training.pb import training_pb2 as pb
from services.training.watching import Sighting

_STATES: dict[int, State] = {
    pb.JOB_STATE_QUEUED: "QUEUED",
    pb.JOB_STATE_STARTING: "STARTING",
    pb.JOB_STATE_RUNNING: "RUNNING",
    pb.JOB_STATE_FINISHED: "FINISHED",
    pb.JOB_STATE_FAILED: "FAILED",
    pb.JOB_STATE_KILLED: "KILLED",
}


def job_message(job: Job) -> pb.Job:
    """All that the protocol tells of a job."""
    return pb.Job(
        id=job.id,
        model=job.model,
        state=pb.JobState.Value(f"JOB_STATE_{job.state}"),
        reason=job.reason,
        idempotency_key=job.key,
        submitted_at=_timestamp(job.submitted),
        started_at=_timestamp(job.started),
        ended_at=_timestamp(job.ended),
        attempt=job.attempt,
        spec=job.spec,
        epochs=job.epochs,
        version=job.version,
    )


def event_message(sighting: Sighting) -> pb.JobEvent:
    """One event of a watch."""
    event = pb.JobEvent(cursor=str(sighting.position))
    match sighting.what:
        case Job() as job:
            event.time.GetCurrentTime()
            event.job.CopyFrom(job_message(job))
        case Entry() as entry:
            event.time.FromDatetime(datetime.fromisoformat(entry.fields["time"]))
            _add_entry(event, entry)
        case None:
            event.time.GetCurrentTime()
            event.heartbeat.SetInParent()
    return event


def filter_of(request: pb.ListJobsRequest) -> Filter:
    """Which jobs a request wants. Raises InvalidRequestError for a state that is none."""
    for state in request.states:
        if state not in _STATES:
            raise InvalidRequestError("states", f"any of {', '.join(_STATES.values())}", str(state))
    return Filter(
        states=frozenset(_STATES[state] for state in request.states),
        model=request.model,
        after=_datetime(request, "submitted_after"),
        before=_datetime(request, "submitted_before"),
    )


def announcement_of(first: pb.UploadDatasetRequest | None) -> Announcement:
    """What the first message of an upload announces. Raises InvalidRequestError if it is no header."""
    if first is None or first.WhichOneof("part") != "header":
        came = "nothing" if first is None else first.WhichOneof("part") or "an empty message"
        raise InvalidRequestError("part", "a header in the first message", came)
    return Announcement(first.header.sha256, first.header.size_bytes, first.header.offset)


def chunk_of(message: pb.UploadDatasetRequest) -> bytes:
    """The bytes of a message after the first. Raises InvalidRequestError if it holds none."""
    if message.WhichOneof("part") != "chunk":
        raise InvalidRequestError("part", "a chunk after the header", message.WhichOneof("part") or "an empty message")
    return message.chunk


def dataset_message(dataset: Dataset) -> pb.Dataset:
    """What is held of a content."""
    return pb.Dataset(
        sha256=dataset.sha256,
        received_bytes=dataset.received_bytes,
        complete=dataset.complete,
        address=dataset.address,
    )


def _add_entry(event: pb.JobEvent, entry: Entry) -> None:
    fields = entry.fields
    match fields["kind"]:
        case "stage":
            event.stage.text = fields["text"]
        case "epoch":
            event.epoch.epoch = fields["epoch"]
            event.epoch.metrics.update(fields["metrics"])
        case "log":
            event.log.MergeFrom(pb.LogLine(level=fields["level"], logger=fields["logger"], text=fields["text"]))
        case "outcome":
            event.outcome.MergeFrom(
                pb.Outcome(
                    version=fields["version"],
                    promoted=fields["promoted"],
                    reason=fields["reason"],
                    best_epoch=fields["best_epoch"],
                    test_metrics=fields["test"],
                    seconds=fields["seconds"],
                )
            )
        case "failure":
            event.log.MergeFrom(pb.LogLine(level="ERROR", logger="drivetrain", text=fields["reason"]))


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _datetime(request: pb.ListJobsRequest, field: Literal["submitted_after", "submitted_before"]) -> datetime | None:
    if not request.HasField(field):
        return None
    stamp: Timestamp = getattr(request, field)
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequestError(field, "a time of the years 1 to 9999", f"{stamp.seconds} seconds") from error
