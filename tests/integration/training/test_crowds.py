"""Many at once: submissions, and watchers of one job."""

import asyncio
import time

import grpc
import pytest

from services.training.pb import training_pb2 as pb
from services.training.pb.training_pb2_grpc import TrainingServiceStub
from tests.integration.training.ray_head import RayHead
from tests.integration.training.service import ENDLESS, spec, training

pytestmark = pytest.mark.slow

WATCHERS = 1000


async def test_a_hundred_submissions_at_once(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1) as it:
        blocker = await it.submit(spec(name="blocker", **ENDLESS))
        started = time.monotonic()
        jobs = await asyncio.gather(*(it.submit(spec(name=f"crowd-{at % 5}"), key=f"crowd-{at}") for at in range(100)))
        seconds = time.monotonic() - started
        print(f"100 submissions in {seconds:.1f} s")
        assert len({job.id for job in jobs}) == 100
        again = await asyncio.gather(*(it.submit(spec(name=f"crowd-{at % 5}"), key=f"crowd-{at}") for at in range(100)))
        assert [job.id for job in again] == [job.id for job in jobs]
        status = await it.stub.GetStatus(pb.GetStatusRequest())
        assert status.queued_jobs >= 100
        for job in (*jobs, blocker):
            await it.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
        for job in (*jobs, blocker):
            await it.in_state(job.id, pb.JOB_STATE_KILLED)


async def test_the_queue_has_a_limit(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1, max_queued_jobs=3) as it:
        blocker = await it.submit(spec(name="blocker", **ENDLESS))
        await it.in_state(blocker.id, pb.JOB_STATE_RUNNING)
        outcomes = await asyncio.gather(*(it.submit(spec(name="limited")) for _ in range(20)), return_exceptions=True)
        queued = [outcome for outcome in outcomes if isinstance(outcome, pb.Job)]
        refusals = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
        assert (len(queued), len(refusals)) == (3, 17)
        assert {refusal.code() for refusal in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert {refusal.details() for refusal in refusals} == {"the queue is full: 3 jobs wait already"}
        for job in (*queued, blocker):
            await it.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
        for job in (*queued, blocker):
            await it.in_state(job.id, pb.JOB_STATE_KILLED)


async def test_a_thousand_watchers_of_one_job(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        job = await it.submit(spec(name="watched", training={"epochs": 40}))
        started = time.monotonic()
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{it.server.port}") for _ in range(10)]
        watches = [
            TrainingServiceStub(channels[at % 10]).WatchJob(pb.WatchJobRequest(job_id=job.id)) for at in range(WATCHERS)
        ]

        async def epochs_of(watch: "grpc.aio.UnaryStreamCall[pb.WatchJobRequest, pb.JobEvent]") -> list[int]:
            return [event.epoch.epoch async for event in watch if event.WhichOneof("event") == "epoch"]

        told = await asyncio.gather(*map(epochs_of, watches))
        print(f"{WATCHERS} watchers heard the end after {time.monotonic() - started:.1f} s")
        assert all(epochs == list(range(1, 41)) for epochs in told)
        for channel in channels:
            await channel.close()
