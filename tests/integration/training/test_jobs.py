"""From submission to the end of a job: real Ray, real MLflow, real drivers."""

import asyncio

import grpc
import pytest
import requests
from mlflow.entities import Run

from pipelines.home import mlflow_client
from services.training import record
from services.training.pb import training_pb2 as pb
from tests.integration.training.ray_head import RayHead
from tests.integration.training.service import ENDLESS, Training, spec, training
from tests.waiting import eventually_async

ROWS = {"source": "synthetic", "rows": 3000, "features": 4, "classes": 3}


def kinds(events: list[pb.JobEvent]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


def epochs_of(events: list[pb.JobEvent]) -> list[int]:
    return [event.epoch.epoch for event in events if event.WhichOneof("event") == "epoch"]


def run_of(job_id: str) -> Run:
    return mlflow_client().get_run(job_id)


def steps(job_id: str, metric: str = "train_loss") -> list[int]:
    return sorted(each.step for each in mlflow_client().get_metric_history(job_id, metric))


async def test_a_job_from_submission_to_version(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        submitted = await it.submit(spec(name="whole"))
        assert submitted.state == pb.JOB_STATE_QUEUED
        events = await it.events(submitted.id)
        states = [event.job.state for event in events if event.WhichOneof("event") == "job"]
        assert states[0] in (pb.JOB_STATE_QUEUED, pb.JOB_STATE_STARTING)
        assert states[-1] == pb.JOB_STATE_FINISHED
        assert epochs_of(events) == [1, 2, 3, 4]
        [outcome] = [event.outcome for event in events if event.WhichOneof("event") == "outcome"]
        assert (outcome.version, outcome.promoted) == ("1", True)
        assert "accuracy" in outcome.test_metrics
        job = await it.get(submitted.id)
        assert (job.state, job.model, job.attempt, job.version) == (pb.JOB_STATE_FINISHED, "whole", 1, "1")
        assert steps(job.id) == [1, 2, 3, 4]
        await eventually_async(lambda: is_done(job.id))
        logs = {each.path for each in mlflow_client().list_artifacts(job.id, "logs")}
        assert logs == {"logs/attempt-1.jsonl", "logs/attempt-1.log"}
        again = await it.events(job.id)
        assert kinds(again)[-1] == "job"
        assert epochs_of(again) == [1, 2, 3, 4]
        for at in range(0, len(again), 3):  # a watch goes on where another ended
            rest = await it.events(job.id, again[at].cursor)
            assert epochs_of(rest) == epochs_of(again[at + 1 :])
            assert rest[-1].job.state == pb.JOB_STATE_FINISHED


async def is_done(job_id: str) -> bool:
    return run_of(job_id).data.tags[record.PHASE_TAG] == "done"


async def test_a_resumed_job_finishes_in_its_run(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        job = await it.submit(spec(name="resumed", data=ROWS, training={"epochs": 300}))
        await it.has_trained(job.id, 10)
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
        killed = await it.in_state(job.id, pb.JOB_STATE_KILLED)
        assert killed.reason
        assert 10 <= len(steps(job.id)) < 300
        await eventually_async(lambda: is_done(job.id))
        resumed = await it.stub.ResumeJob(pb.ResumeJobRequest(job_id=job.id))
        assert (resumed.state, resumed.reason) == (pb.JOB_STATE_QUEUED, "")
        events = await it.events(job.id)  # whoever watches at once does not take the old end for the new one
        assert events[-1].job.state == pb.JOB_STATE_FINISHED
        at_work = [event.job for event in events if event.HasField("job")][:-1]
        assert not any(each.HasField("ended_at") for each in at_work)
        finished = await it.get(job.id)
        assert (finished.attempt, finished.reason, finished.version) == (2, "", "1")
        assert steps(job.id) == list(range(1, 301))


async def test_a_quiet_watch_is_kept_alive(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1, heartbeat_s=0.1) as it:
        blocker = await it.submit(spec(name="blocker", **ENDLESS))
        waiting = await it.submit(spec(name="quiet"))
        watch = it.stub.WatchJob(pb.WatchJobRequest(job_id=waiting.id))
        came = [kinds([await anext(aiter(watch))]) for _ in range(4)]
        assert came == [["job"], ["heartbeat"], ["heartbeat"], ["heartbeat"]]
        for job in (waiting, blocker):
            await it.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
            await it.in_state(job.id, pb.JOB_STATE_KILLED)


async def test_the_metrics_page_tells_of_the_jobs(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1) as it:
        endless = await it.submit(spec(name="measured", **ENDLESS))
        waiting = await it.submit(spec(name="waiting"))
        await it.has_trained(endless.id, 5)

        async def counts_epochs() -> bool:
            return (await measured(it)).get("drivetrain_training_epochs_total", 0) >= 5

        await eventually_async(counts_epochs)
        now = await measured(it)
        assert now['drivetrain_training_jobs{state="RUNNING"}'] == 1
        assert now['drivetrain_training_jobs{state="QUEUED"}'] == 1
        assert now['drivetrain_training_rows_per_second{model="measured"}'] > 0
        assert now["drivetrain_training_queue_seconds_count"] == 1
        for job in (waiting, endless):
            await it.stub.CancelJob(pb.CancelJobRequest(job_id=job.id))
            await it.in_state(job.id, pb.JOB_STATE_KILLED)

        async def tells_of_the_end() -> bool:
            page = await measured(it)
            has_forgotten = 'drivetrain_training_rows_per_second{model="measured"}' not in page
            return has_forgotten and page['drivetrain_training_jobs_ended_total{state="KILLED"}'] >= 2

        await eventually_async(tells_of_the_end)


async def measured(it: Training) -> dict[str, float]:
    """The samples of the metrics page, by their names with labels."""
    page = await asyncio.to_thread(requests.get, f"http://127.0.0.1:{it.server.metrics_port}/metrics", timeout=10)
    samples = (line.rsplit(" ", 1) for line in page.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in samples}


async def test_a_job_that_fails_says_why(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        optimizer = {"name": "sgd", "learning_rate": 100.0}
        job = await it.submit(spec(name="diverges", optimizer=optimizer, training={"epochs": 500}))
        events = await it.events(job.id)
        assert events[-1].job.state == pb.JOB_STATE_FAILED
        assert "the loss is no longer finite" in events[-1].job.reason
        assert (await it.get(job.id)).attempt == 1


async def test_jobs_wait_for_their_turn(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1) as it:
        first = await it.submit(spec(name="first", **ENDLESS))
        await it.in_state(first.id, pb.JOB_STATE_RUNNING)
        second, third = [await it.submit(spec(name=name, **ENDLESS)) for name in ("second", "third")]
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=third.id))
        cancelled = await it.in_state(third.id, pb.JOB_STATE_KILLED)
        assert cancelled.reason == "cancelled before it began"
        assert (await it.get(second.id)).state == pb.JOB_STATE_QUEUED
        assert (await it.stub.GetStatus(pb.GetStatusRequest())).queued_jobs == 1
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=first.id))
        ended = await it.in_state(first.id, pb.JOB_STATE_KILLED)
        running = await it.in_state(second.id, pb.JOB_STATE_RUNNING)
        assert running.started_at.ToDatetime() >= ended.ended_at.ToDatetime()
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=second.id))
        await it.in_state(second.id, pb.JOB_STATE_KILLED)


async def test_the_same_key_is_the_same_job(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        text = spec(name="keyed", **ENDLESS)
        answers = await asyncio.gather(
            *(it.stub.SubmitTraining(pb.SubmitTrainingRequest(spec=text, idempotency_key="monday")) for _ in range(10))
        )
        assert len({answer.job.id for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.submit(spec(name="keyed", seed=1, **ENDLESS), key="monday")
        assert refusal.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert answers[0].job.id in str(refusal.value.details())
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=answers[0].job.id))
        await it.in_state(answers[0].job.id, pb.JOB_STATE_KILLED)


async def test_jobs_are_listed_in_pages(cluster: RayHead) -> None:
    async with training(cluster.dashboard, max_running_jobs=1) as it:
        blocker = await it.submit(spec(name="blocker", **ENDLESS))
        ids = [(await it.submit(spec(name="listed", seed=seed))).id for seed in range(5)]
        found, token = [], ""
        while True:
            request = pb.ListJobsRequest(model="listed", page_size=2, page_token=token)
            page = await it.stub.ListJobs(request)
            found += [job.id for job in page.jobs]
            assert len(page.jobs) <= 2
            token = page.next_page_token
            if not token:
                break
        assert found == ids[::-1]
        queued = await it.stub.ListJobs(pb.ListJobsRequest(model="listed", states=[pb.JOB_STATE_QUEUED]))
        assert [job.id for job in queued.jobs] == ids[::-1]
        two_states = [pb.JOB_STATE_QUEUED, pb.JOB_STATE_KILLED]
        either = await it.stub.ListJobs(pb.ListJobsRequest(model="listed", states=two_states))
        assert [job.id for job in either.jobs] == ids[::-1]
        ended = await it.stub.ListJobs(pb.ListJobsRequest(model="listed", states=[pb.JOB_STATE_FINISHED]))
        assert not ended.jobs
        nowhere = await it.stub.ListJobs(pb.ListJobsRequest(model="unheard-of", page_token="any"))
        assert (list(nowhere.jobs), nowhere.next_page_token) == ([], "")
        middle = queued.jobs[2].submitted_at
        later = await it.stub.ListJobs(pb.ListJobsRequest(model="listed", submitted_after=middle))
        earlier = await it.stub.ListJobs(pb.ListJobsRequest(model="listed", submitted_before=middle))
        assert [job.id for job in later.jobs] == ids[:1:-1]
        assert [job.id for job in earlier.jobs] == ids[1::-1]
        for job_id in (*ids, blocker.id):
            await it.stub.CancelJob(pb.CancelJobRequest(job_id=job_id))
        for job_id in (*ids, blocker.id):
            await it.in_state(job_id, pb.JOB_STATE_KILLED)


async def test_a_job_that_waits_for_the_cluster_is_cancelled_at_once(cluster: RayHead) -> None:
    async with training(cluster.dashboard, driver_resource="driver") as it:
        holder = await it.submit(spec(name="holder", **ENDLESS))  # takes the only `driver`
        await it.has_trained(holder.id, 1)
        starved = await it.submit(spec(name="starved"))
        await it.in_state(starved.id, pb.JOB_STATE_STARTING)
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=starved.id))
        await it.in_state(starved.id, pb.JOB_STATE_KILLED, within_s=20)
        await it.stub.CancelJob(pb.CancelJobRequest(job_id=holder.id))
        await it.in_state(holder.id, pb.JOB_STATE_KILLED)
        await eventually_async(lambda: is_done(starved.id))
