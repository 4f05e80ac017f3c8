"""A training service on real gRPC whose answers break off where a test wants it: faults that a good one has rarely."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from typing_extensions import override

from services.training.pb import training_pb2 as pb
from services.training.pb import training_pb2_grpc as pb_grpc

Context = grpc.ServicerContext
Answer = Callable[[pb.WatchJobRequest], Iterator[pb.JobEvent]]


class CutError(Exception):
    """Ends a call with a status in the middle of it."""

    def __init__(self, status: grpc.StatusCode, details: str = "cut") -> None:
        super().__init__(status, details)
        self.status, self.details = status, details


@dataclass
class FaultyService(pb_grpc.TrainingServiceServicer):
    """Answers what a test tells it to, and remembers what came."""

    watches: list[Answer] = field(default_factory=list)
    """How the next watches are answered, one after another."""
    cursors: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    jobs: list[pb.Job] = field(default_factory=list)
    submit_faults: list[CutError] = field(default_factory=list)
    submissions: list[pb.SubmitTrainingRequest] = field(default_factory=list)
    upload_cuts: list[int] = field(default_factory=list)
    """After how many bytes the next uploads are cut."""
    offsets: list[int] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)
    complete: bool = False
    on_chunk: Callable[[], None] = lambda: None
    """Called when a chunk has come."""
    num_silences: int = 0
    """How often it does not say how much it holds."""

    @override
    def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> Iterator[pb.JobEvent]:
        self.cursors.append(request.cursor)
        self.tokens.append(str(dict(context.invocation_metadata()).get("authorization", "")))
        try:
            yield from self.watches.pop(0)(request)
        except CutError as cut:
            context.abort(cut.status, cut.details)

    @override
    def SubmitTraining(self, request: pb.SubmitTrainingRequest, context: Context) -> pb.SubmitTrainingResponse:
        self.submissions.append(request)
        if self.submit_faults:
            cut = self.submit_faults.pop(0)
            context.abort(cut.status, cut.details)
        return pb.SubmitTrainingResponse(job=pb.Job(id="1" * 32, model="m"), created=len(self.submissions) == 1)

    @override
    def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        start, size = int(request.page_token or 0), request.page_size or 100
        end = start + size
        return pb.ListJobsResponse(jobs=self.jobs[start:end], next_page_token=str(end) if end < len(self.jobs) else "")

    @override
    def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.Job:
        context.abort(grpc.StatusCode.NOT_FOUND, f"unknown job {request.job_id!r}")

    @override
    def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.Dataset:
        if self.num_silences:
            self.num_silences -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        return self._dataset(request.sha256)

    @override
    def UploadDataset(self, request_iterator: Iterator[pb.UploadDatasetRequest], context: Context) -> pb.Dataset:
        header = next(request_iterator).header
        self.offsets.append(header.offset)
        if header.offset != len(self.content):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "offset")
        cut_at = self.upload_cuts.pop(0) if self.upload_cuts else None
        while cut_at is None or len(self.content) < cut_at:
            message = next(request_iterator, None)
            if message is None:
                break
            self.content += message.chunk
            self.on_chunk()
        else:
            context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        if len(self.content) < header.size_bytes:
            return self._dataset(header.sha256)
        assert hashlib.sha256(self.content).hexdigest() == header.sha256
        self.complete = True
        return self._dataset(header.sha256)

    @override
    def ValidateSpec(self, request: pb.ValidateSpecRequest, context: Context) -> pb.ValidateSpecResponse:
        return pb.ValidateSpecResponse()

    @override
    def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.Job:
        return pb.Job(id=request.job_id)

    @override
    def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.Job:
        return pb.Job(id=request.job_id)

    @override
    def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.ServiceStatus:
        return pb.ServiceStatus()

    def _dataset(self, sha256: str) -> pb.Dataset:
        return pb.Dataset(
            sha256=sha256,
            received_bytes=len(self.content),
            complete=self.complete,
            address=f"sha256:{sha256}",
        )


@contextmanager
def listening(service: FaultyService, port: int = 0) -> Iterator[str]:
    """The address of the service, as long as the block lasts."""
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    pb_grpc.add_TrainingServiceServicer_to_server(service, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        server.stop(None).wait()
