"""The training protocol on gRPC: each method decodes, calls the manager, and encodes."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import asyncio
from collections.abc import AsyncIterator

from typing_extensions import override

from pipelines.spec_file import dump_spec
from services.rpc.access import authorization_of, identities_of
from services.rpc.authorization import Policy
from services.rpc.status import Context
from services.training.datasets import DatasetStore
from services.training.errors import InvalidSpecError
from services.training.manager import JobManager
from services.training.messages import (
    announcement_of,
    chunk_of,
    dataset_message,
    event_message,
    filter_of,
    job_message,
)
from services.training.metrics import Metrics
from services.training.overview import Overview
from services.training.pb import training_pb2 as pb
from services.training.pb import training_pb2_grpc as pb_grpc
from services.training.watching import Watch

POLICY = Policy(
    service="drivetrain.training.v1.TrainingService",
    lower="read",
    higher="submit",
    lower_methods=frozenset({"ValidateSpec", "GetJob", "ListJobs", "WatchJob", "GetDataset", "GetStatus"}),
)


class Servicer(pb_grpc.TrainingServiceServicer):
    """TrainingService over its parts."""

    def __init__(
        self, manager: JobManager, watch: Watch, datasets: DatasetStore, overview: Overview, metrics: Metrics
    ) -> None:
        self._manager, self._watch, self._datasets = manager, watch, datasets
        self._overview, self._metrics = overview, metrics

    @override
    async def ValidateSpec(self, request: pb.ValidateSpecRequest, context: Context) -> pb.ValidateSpecResponse:
        """What is wrong with a spec, or its complete form."""
        try:
            spec = await self._manager.validate(request.spec)
        except InvalidSpecError as error:  # an answer here, not a failure
            return pb.ValidateSpecResponse(mismatches=[pb.Mismatch(**vars(each)) for each in error.mismatches])
        return pb.ValidateSpecResponse(complete_spec=dump_spec(spec))

    @override
    async def SubmitTraining(self, request: pb.SubmitTrainingRequest, context: Context) -> pb.SubmitTrainingResponse:
        """Queue a job, or find the one of this idempotency key."""
        submission = await self._manager.submit(request.spec, request.idempotency_key)
        return pb.SubmitTrainingResponse(job=job_message(submission.job), created=submission.created)

    @override
    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.Job:
        """One job."""
        return job_message(await self._manager.get(request.job_id))

    @override
    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """A page of jobs."""
        jobs, token = await self._manager.page(filter_of(request), request.page_size, request.page_token)
        return pb.ListJobsResponse(jobs=map(job_message, jobs), next_page_token=token)

    @override
    async def WatchJob(self, request: pb.WatchJobRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
        """What happens to a job until it ends."""
        async for sighting in self._watch.events(request.job_id, request.cursor):
            yield event_message(sighting)

    @override
    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.Job:
        """End a job."""
        return job_message(await self._manager.cancel(request.job_id))

    @override
    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.Job:
        """Continue a job from its last checkpoint."""
        return job_message(await self._manager.resume(request.job_id))

    @override
    async def GetDataset(self, request: pb.GetDatasetRequest, context: Context) -> pb.Dataset:
        """How much of a content is here."""
        return dataset_message(await asyncio.to_thread(self._datasets.held, request.sha256))

    @override
    async def UploadDataset(
        self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Context
    ) -> pb.Dataset:
        """Take a content, or what is missing of it."""
        announced = announcement_of(await anext(request_iterator, None))
        dataset = await self._datasets.receive(announced, self._counted(request_iterator))
        return dataset_message(dataset)

    @override
    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.ServiceStatus:
        """What the service is, and how its parts are."""
        return await self._overview.status(authorization_of(context.invocation_metadata()), identities_of(context))

    async def _counted(self, messages: AsyncIterator[pb.UploadDatasetRequest]) -> AsyncIterator[bytes]:
        """The bytes of the messages after the header."""
        async for message in messages:
            chunk = chunk_of(message)
            self._metrics.uploaded.inc(len(chunk))
            yield chunk
