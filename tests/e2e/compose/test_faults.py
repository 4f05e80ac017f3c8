"""`kill -9` of every part, in the middle of a job and under a load of predictions.

The job ends FINISHED, as one run, with the metrics of a job that nothing happened to. Predictions fail only while the
prediction service itself is away.
"""

import secrets

import pytest
from mlflow import MlflowClient

from services.cli.prediction_client import prediction_client
from services.cli.training_client import TrainingClient
from services.prediction.client import PredictionClient
from services.training.pb import training_pb2 as pb
from tests.e2e.compose.jobs import LONG, curve, runs_of, submit, wait_for_end, wait_for_epoch
from tests.e2e.compose.load import steady_load
from tests.e2e.compose.stack import address, compose, eventually, is_healthy, kill, restarts

pytestmark = pytest.mark.timeout(900)

KILL_AT_EPOCH = 8
DRIVERS_DIE_WITH = ("ray-worker", "ray-head")
"""The job needs a second attempt then; what else dies, its driver outlasts."""

METRICS = ("train_loss", "val_loss", "val_accuracy")


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[tuple[int, float]]]:
    """The curves of the job when nothing happens to it; serves the model too."""
    mlflow = MlflowClient()
    with TrainingClient(address("training", 8003)) as training:
        job = wait_for_end(training, submit(training, *LONG))
    assert job.state == pb.JOB_STATE_FINISHED, job
    with prediction_client(address("prediction", 8001)) as prediction:
        eventually(lambda: prediction.is_model_ready("digits-cnn"), 60, "digits-cnn is served")
    return {metric: curve(mlflow, job.id, metric) for metric in METRICS}


def check(mlflow: MlflowClient, job: pb.Job, before: set[str], undisturbed: dict[str, list[tuple[int, float]]]) -> None:
    """One new run, finished, registered once, with the curves of the undisturbed job: no gap, nothing twice."""
    assert job.state == pb.JOB_STATE_FINISHED, job
    assert runs_of(mlflow, "digits-cnn") - before == {job.id}
    assert mlflow.get_run(job.id).info.status == "FINISHED"
    assert {metric: curve(mlflow, job.id, metric) for metric in METRICS} == undisturbed
    versions = mlflow.search_model_versions(f"run_id='{job.id}'")
    assert [version.version for version in versions] == [job.version]


@pytest.mark.parametrize("service", ["ray-worker", "ray-head", "mlflow", "postgres", "training", "prediction"])
def test_a_job_outlasts_the_death_of(
    service: str,
    undisturbed: dict[str, list[tuple[int, float]]],
    training: TrainingClient,
    prediction: PredictionClient,
    mlflow: MlflowClient,
) -> None:
    before, restarted = runs_of(mlflow, "digits-cnn"), restarts(service)
    with steady_load() as load:
        job_id = submit(training, *LONG)
        wait_for_epoch(training, job_id, KILL_AT_EPOCH)
        kill(service)
        job = wait_for_end(training, job_id)
        eventually(lambda: restarts(service) > restarted and is_healthy(service), 180, f"{service} is back")
        answered = load.answered
        eventually(lambda: load.answered > answered + 20, 30, "predictions go on")
    assert load.failures == [] or service == "prediction", load.failures[:3]
    check(mlflow, job, before, undisturbed)
    assert (job.attempt > 1) == (service in DRIVERS_DIE_WITH), job
    assert prediction.is_model_ready("digits-cnn")


def test_submitting_twice_across_a_restart_of_the_service_gives_one_job(training: TrainingClient) -> None:
    key = secrets.token_hex(16)
    job_id = submit(training, key=key)
    kill("training")
    eventually(lambda: is_healthy("training"), 120, "training is back")
    with pytest.raises(AssertionError):
        submit(training, key=key)  # not created again
    assert [job.id for job in training.jobs() if job.idempotency_key == key] == [job_id]
    assert wait_for_end(training, job_id).state == pb.JOB_STATE_FINISHED


def test_prediction_starts_from_its_cache_while_mlflow_is_down(
    undisturbed: object, prediction: PredictionClient
) -> None:
    version = prediction.metadata("digits-cnn").version
    compose("stop", "mlflow", "postgres")
    try:
        restarted = restarts("prediction")
        kill("prediction")
        eventually(lambda: restarts("prediction") > restarted, 60, "prediction was started again")
        eventually(lambda: prediction.is_model_ready("digits-cnn"), 60, "digits-cnn is served from the cache")
        assert prediction.metadata("digits-cnn").version == version
        assert is_healthy("prediction") or eventually(lambda: is_healthy("prediction"), 30, "prediction is healthy")
    finally:
        compose("up", "--detach", "--wait", "postgres", "mlflow")
