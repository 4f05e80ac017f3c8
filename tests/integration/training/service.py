"""A real training server with a real stub on it."""

from __future__ import annotations  # the asynchronous stub exists in the checker only

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import yaml

from pipelines.home import mlflow_client
from services.training.pb import training_pb2 as pb
from services.training.pb.training_pb2_grpc import TrainingServiceStub
from services.training.server import TrainingServer, build
from services.training.settings import Settings
from tests.waiting import PATIENCE_S, eventually_async

if TYPE_CHECKING:
    from services.training.pb.training_pb2_grpc import TrainingServiceAsyncStub

ENDED = (pb.JOB_STATE_FINISHED, pb.JOB_STATE_FAILED, pb.JOB_STATE_KILLED)

SPEC: dict[str, Any] = {
    "name": "small",
    "data": {"source": "synthetic", "rows": 300, "features": 4, "classes": 3},
    "model": {"family": "mlp", "hidden": [16]},
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "training": {"epochs": 4},
}
ENDLESS = {"training": {"epochs": 1_000_000}}
"""A job that only its end from outside ends."""


def spec(**sections: object) -> str:
    """The YAML of a job of a second or two; `sections` replace its own."""
    return yaml.safe_dump(SPEC | sections)


@dataclass
class Training:
    """A running server and a client of it."""

    server: TrainingServer
    stub: TrainingServiceAsyncStub

    async def submit(self, text: str, key: str = "") -> pb.Job:
        """The job of a spec."""
        request = pb.SubmitTrainingRequest(spec=text, idempotency_key=key)
        return (await self.stub.SubmitTraining(request)).job

    async def get(self, job_id: str) -> pb.Job:
        """The job as it is now."""
        return await self.stub.GetJob(pb.GetJobRequest(job_id=job_id))

    async def events(self, job_id: str, cursor: str = "") -> list[pb.JobEvent]:
        """Everything that happens to a job until it has ended, but for heartbeats."""
        watch = self.stub.WatchJob(pb.WatchJobRequest(job_id=job_id, cursor=cursor))
        return [event async for event in watch if event.WhichOneof("event") != "heartbeat"]

    async def in_state(self, job_id: str, *states: int, within_s: float = 2 * PATIENCE_S) -> pb.Job:
        """The job as soon as it is in one of these states."""
        found = await self.get(job_id)

        async def has_come() -> bool:
            nonlocal found
            found = await self.get(job_id)
            assert found.state in states or found.state not in ENDED, found
            return found.state in states

        await eventually_async(has_come, within_s)
        return found

    async def cancel_all(self) -> None:
        """Ask for the end of every job that has not come to it."""
        for job in (await self.stub.ListJobs(pb.ListJobsRequest(page_size=1000))).jobs:
            if job.state not in ENDED:
                await self.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
                await self.in_state(job.id, *ENDED, within_s=60)

    async def has_trained(self, job_id: str, epochs: int) -> str:
        """The cursor after that many epochs."""
        watch = self.stub.WatchJob(pb.WatchJobRequest(job_id=job_id))
        async for event in watch:
            if event.WhichOneof("event") == "epoch" and event.epoch.epoch >= epochs:
                watch.cancel()
                return event.cursor
        raise AssertionError("the job ended before")


@asynccontextmanager
async def training(dashboard: str, **settings: object) -> AsyncIterator[Training]:
    """A server on the store at DRIVETRAIN_HOME and the cluster with this dashboard."""
    defaults = {"port": 0, "metrics_port": 0, "poll_interval_s": 0.2, "python": sys.executable}
    values = defaults | {"ray_dashboard": dashboard} | settings
    server = build(Settings.model_validate(values), mlflow_client())
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            it = Training(server, TrainingServiceStub(channel))
            try:
                yield it
            except BaseException:
                await it.cancel_all()  # or the jobs of a test that failed would take the cores of all others
                raise
    finally:
        await server.stop(grace_s=1)
