"""What happens to jobs when a part of the whole dies: nothing is lost, and nothing is there twice."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pipelines.home import mlflow_client
from pipelines.spec_file import build_spec, parse_yaml
from services.training.pb import training_pb2 as pb
from tests.integration.cli.commands import processes_of
from tests.integration.pipelines.undisturbed import undisturbed
from tests.integration.training.conftest import in_use
from tests.integration.training.ray_head import RayHead, ray_head
from tests.integration.training.service import spec, training

pytestmark = pytest.mark.slow

EPOCHS = 300
LONG = {"data": {"source": "synthetic", "rows": 3000, "features": 4, "classes": 3}, "training": {"epochs": EPOCHS}}


@pytest.fixture(scope="module")
def own_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A head that these tests may kill."""
    home = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        in_use(home, patch)
        mlflow_client().search_experiments()
    with ray_head(home) as running:
        yield running


@pytest.fixture
def mortal(own_head: RayHead, monkeypatch: pytest.MonkeyPatch) -> RayHead:
    in_use(own_head.home, monkeypatch)
    return own_head


def losses(job_id: str) -> dict[int, float]:
    """The training loss of each epoch; fails where an epoch was logged twice."""
    history = mlflow_client().get_metric_history(job_id, "train_loss")
    found = {each.step: each.value for each in history}
    assert len(found) == len(history)
    return found


def drivers(home: Path) -> list[int]:
    return [
        pid
        for pid, command in processes_of(home).items()
        if "-m services.training.driver" in command and "sh -c" not in command
    ]


def expected() -> dict[int, float]:
    """The losses of the same job when nothing happens to it."""
    return undisturbed(build_spec(parse_yaml(spec(**LONG), "here"))).losses


async def runs_of(model: str) -> int:
    client = mlflow_client()
    experiment = client.get_experiment_by_name(model)
    assert experiment is not None
    return len(client.search_runs([experiment.experiment_id]))


async def test_a_killed_driver_is_replaced(mortal: RayHead) -> None:
    async with training(mortal.dashboard) as it:
        job = await it.submit(spec(name="driverless", **LONG))
        await it.has_trained(job.id, 20)
        for pid in drivers(mortal.home):
            os.kill(pid, signal.SIGKILL)
        finished = await it.in_state(job.id, pb.JOB_STATE_FINISHED)
        assert (finished.attempt, finished.version) == (2, "1")
        assert await runs_of("driverless") == 1
        assert losses(job.id) == expected()


async def test_a_killed_cluster_goes_on_when_it_is_back(mortal: RayHead) -> None:
    async with training(mortal.dashboard) as it:
        job = await it.submit(spec(name="headless", **LONG))
        cursor = await it.has_trained(job.id, 20)
        mortal.kill()
        rest = asyncio.create_task(it.events(job.id, cursor))
        await asyncio.to_thread(mortal.restart)
        events = await rest
        assert events[-1].job.state == pb.JOB_STATE_FINISHED
        assert events[-1].job.attempt == 2
        epochs = [event.epoch.epoch for event in events if event.WhichOneof("event") == "epoch"]
        assert epochs == list(range(epochs[0], EPOCHS + 1))  # watchers hear of each once
        assert await runs_of("headless") == 1
        assert losses(job.id) == expected()


async def test_a_job_outlives_the_service(mortal: RayHead) -> None:
    async with training(mortal.dashboard) as it:
        job = await it.submit(spec(name="serviceless", **LONG))
        waiting = await it.submit(spec(name="waiting"))
        cursor = await it.has_trained(job.id, 20)
    async with training(mortal.dashboard) as successor:
        events = await successor.events(job.id, cursor)
        epochs = [event.epoch.epoch for event in events if event.WhichOneof("event") == "epoch"]
        assert epochs == list(range(epochs[0], EPOCHS + 1))
        assert events[-1].job.attempt == 1
        await successor.in_state(waiting.id, pb.JOB_STATE_FINISHED)


async def test_of_two_services_one_acts_and_the_other_takes_its_place(mortal: RayHead) -> None:
    async with AsyncExitStack() as leaving:
        leader = await leaving.enter_async_context(training(mortal.dashboard))
        async with training(mortal.dashboard) as standby:
            led = await standby.submit(spec(name="led"))
            finished = await leader.in_state(led.id, pb.JOB_STATE_FINISHED)
            assert (finished.attempt, finished.version) == (1, "1")
            await leaving.aclose()
            after = await standby.submit(spec(name="led-after"))
            assert (await standby.in_state(after.id, pb.JOB_STATE_FINISHED)).attempt == 1


async def test_a_job_that_may_not_be_retried_fails_with_the_reason(mortal: RayHead) -> None:
    async with training(mortal.dashboard) as it:
        job = await it.submit(spec(name="once", training={"epochs": 1_000_000, "retries": 0}))
        await it.has_trained(job.id, 10)
        for pid in drivers(mortal.home):
            os.kill(pid, signal.SIGKILL)
        failed = await it.in_state(job.id, pb.JOB_STATE_FAILED)
        assert "training.retries allows 0 restarts and there were 0" in failed.reason
