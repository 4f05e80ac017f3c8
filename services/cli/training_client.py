"""A typed client of the training service: outlasts its restarts while it watches and uploads."""

import hashlib
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias

import grpc

from pipelines.errors import Mismatch
from services.cli.connection import CALL_TIMEOUT_S, Connection, Service
from services.cli.errors import AccessError, InputError, ServiceError, TransientError
from services.training.pb import training_pb2 as pb
from services.training.pb.training_pb2_grpc import TrainingServiceStub

SERVICE = Service(
    name="training",
    full_name="drivetrain.training.v1.TrainingService",
    start="start one with: drivetrain serve-training, or the whole stack with: make up",
    repeatable=("ValidateSpec", "SubmitTraining", "GetJob", "ListJobs", "CancelJob", "GetDataset", "GetStatus"),
)

ENDED_STATES = (pb.JOB_STATE_FINISHED, pb.JOB_STATE_FAILED, pb.JOB_STATE_KILLED)

CHUNK_BYTES = 2**20
UPLOAD_PATIENCE_S = 120.0
"""How long an upload that was cut is tried again without a byte arriving."""

Activity = Literal["hashing", "sending"]
Transfer: TypeAlias = Callable[[Activity, int, int], None]
"""Told what is done, how many bytes of it are behind, and how many there are."""


@dataclass(frozen=True)
class Uploaded:
    """Content that the service holds."""

    address: str
    """What a spec gives as data.path."""
    size_bytes: int
    sent_bytes: int
    """0 where the service had all of it already."""


def state_name(state: pb.JobState.ValueType) -> str:
    """The state as people write it, such as `running`."""
    return pb.JobState.Name(state).removeprefix("JOB_STATE_").lower()


class TrainingClient:
    """Asks one training service. Every method raises InputError where the request was wrong, else ServiceError."""

    def __init__(self, address: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._connection, self._timeout_s = Connection(SERVICE, address), timeout_s
        self._stub = TrainingServiceStub(self._connection.channel)
        self.address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.channel.close()

    def validate(self, spec_yaml: str) -> list[Mismatch]:
        """What the service would refuse in a spec; empty where it is right."""
        answer = self._connection.call(self._stub.ValidateSpec, pb.ValidateSpecRequest(spec=spec_yaml), self._timeout_s)
        return [Mismatch(each.path, each.expected, each.came) for each in answer.mismatches]

    def submit(self, spec_yaml: str, key: str) -> tuple[pb.Job, bool]:
        """The job of this idempotency key, and whether it is new."""
        request = pb.SubmitTrainingRequest(spec=spec_yaml, idempotency_key=key)
        answer = self._connection.call(self._stub.SubmitTraining, request, self._timeout_s)
        return answer.job, answer.created

    def get(self, job_id: str) -> pb.Job:
        """A job as it is now."""
        return self._connection.call(self._stub.GetJob, pb.GetJobRequest(job_id=job_id), self._timeout_s)

    def jobs(
        self, states: Sequence[pb.JobState.ValueType] = (), model: str = "", page_size: int = 0
    ) -> Iterator[pb.Job]:
        """Jobs, newest first, as many as are taken; a page is asked for when it is needed."""
        token = ""
        while True:
            request = pb.ListJobsRequest(states=states, model=model, page_size=page_size, page_token=token)
            page = self._connection.call(self._stub.ListJobs, request, self._timeout_s)
            yield from page.jobs
            if not (token := page.next_page_token):
                return

    def cancel(self, job_id: str) -> pb.Job:
        """End a job as killed; its last checkpoint is kept."""
        return self._connection.call(self._stub.CancelJob, pb.CancelJobRequest(job_id=job_id), self._timeout_s)

    def resume(self, job_id: str) -> pb.Job:
        """Continue a failed or killed job from its last checkpoint."""
        return self._connection.call(self._stub.ResumeJob, pb.ResumeJobRequest(job_id=job_id), self._timeout_s)

    def status(self) -> pb.ServiceStatus:
        """What the service is, and whether what it needs answers."""
        return self._connection.call(self._stub.GetStatus, pb.GetStatusRequest(), self._timeout_s)

    def dataset(self, sha256: str) -> pb.Dataset:
        """How much of a content the service holds."""
        return self._connection.call(self._stub.GetDataset, pb.GetDatasetRequest(sha256=sha256), self._timeout_s)

    def watch(self, job_id: str, on_outage: Callable[[str], None] = lambda _: None) -> Iterator[pb.JobEvent]:
        """Every event of a job from its beginning until it has ended, through outages of any length.

        `on_outage` is told the reason once an outage. Raises InputError if there is no such job, AccessError if the
        token is refused.
        """
        cursor, ended, pauses = "", False, _pauses()
        waiting = False
        while True:
            try:
                for event in self._events(job_id, cursor):
                    cursor, waiting, pauses = event.cursor or cursor, False, _pauses()
                    ended = event.job.state in ENDED_STATES if event.HasField("job") else ended
                    yield event
                if ended:
                    return
                reason = "the watch ended before the job did"
            except (InputError, AccessError):
                raise
            except ServiceError as error:
                reason = str(error)
            if not waiting:
                on_outage(reason)
            waiting = True
            time.sleep(next(pauses))

    def upload(self, path: Path, transfer: Transfer = lambda *_: None) -> Uploaded:
        """Bring a file's content to the service, which asks for no byte twice; goes on where it was cut.

        Raises InputError for a file that cannot be read or changes meanwhile, TransientError if nothing moves for
        UPLOAD_PATIENCE_S after a cut.
        """
        size_bytes, sha256 = _fingerprint(path, transfer)
        held = self.dataset(sha256)
        sent_bytes, pauses, give_up_at = 0, _pauses(), math.inf
        while not held.complete:
            header = pb.UploadHeader(sha256=sha256, size_bytes=size_bytes, offset=held.received_bytes)
            try:
                held = self._send(path, header, transfer)
            except (TransientError, InputError) as error:
                held = self._held_now(held)
                moved = held.received_bytes != header.offset  # if so, the service had not written all when it was asked
                give_up_at = min(give_up_at, time.monotonic() + UPLOAD_PATIENCE_S)
                if not moved and (isinstance(error, InputError) or time.monotonic() > give_up_at):
                    raise
                time.sleep(next(pauses))
            if held.received_bytes > header.offset:
                sent_bytes += held.received_bytes - header.offset
                pauses, give_up_at = _pauses(), math.inf
        return Uploaded(held.address, size_bytes, sent_bytes)

    def _send(self, path: Path, header: pb.UploadHeader, transfer: Transfer) -> pb.Dataset:
        held = self._connection.call(self._stub.UploadDataset, _messages(path, header, transfer), None)
        if not held.complete and held.received_bytes == header.offset:  # there was nothing left to send
            raise InputError(f"expected a file that stays as it is, {str(path)!r} became shorter while it was sent")
        return held

    def _events(self, job_id: str, cursor: str) -> Iterator[pb.JobEvent]:
        request = pb.WatchJobRequest(job_id=job_id, cursor=cursor)
        call = self._stub.WatchJob(request, metadata=self._connection.metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self._connection.explain(error) from error
        finally:
            call.cancel()

    def _held_now(self, held: pb.Dataset) -> pb.Dataset:
        """How far the upload came; what was known before while the service is away."""
        try:
            return self.dataset(held.sha256)
        except TransientError:
            return held


def _messages(path: Path, header: pb.UploadHeader, transfer: Transfer) -> Iterator[pb.UploadDatasetRequest]:
    yield pb.UploadDatasetRequest(header=header)
    done = header.offset
    with path.open("rb") as file:
        file.seek(done)
        while chunk := file.read(CHUNK_BYTES):
            yield pb.UploadDatasetRequest(chunk=chunk)
            done += len(chunk)
            transfer("sending", done, header.size_bytes)


def _fingerprint(path: Path, transfer: Transfer) -> tuple[int, str]:
    """Size in bytes and SHA-256."""
    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                transfer("hashing", done, size_bytes)
    except OSError as error:
        raise InputError(f"expected a readable file, came {str(path)!r} ({error.strerror})") from error
    return done, digest.hexdigest()


def _pauses() -> Iterator[float]:
    """Seconds between tries: half a second to ten, no two clients in step."""
    longest = 0.5
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(2 * longest, 10.0)
