"""`make smoke`, and `make down` with `make up` after it: what was trained is still there and served."""

import pytest
from mlflow import MlflowClient

from services.cli.training_client import TrainingClient
from services.prediction.client import PredictionClient
from tests.e2e.compose.jobs import runs_of
from tests.e2e.compose.stack import eventually, run, script

pytestmark = pytest.mark.timeout(900)


def test_make_smoke(prediction: PredictionClient) -> None:
    done = script("smoke.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all is well" in done.stdout
    assert prediction.is_model_ready("digits-cnn")


def test_after_down_and_up_everything_is_there(
    training: TrainingClient, prediction: PredictionClient, mlflow: MlflowClient
) -> None:
    runs = runs_of(mlflow, "digits-cnn")
    jobs = {job.id: job.state for job in training.jobs(model="digits-cnn")}
    version = prediction.metadata("digits-cnn").version
    assert runs
    assert runs >= set(jobs)
    run("make", "down")
    done = script("up.sh", "prometheus", "training", "prediction", "ray-worker")
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: prediction.is_model_ready("digits-cnn"), 60, "digits-cnn is served again")
    assert prediction.metadata("digits-cnn").version == version
    assert runs_of(mlflow, "digits-cnn") == runs
    assert {job.id: job.state for job in training.jobs(model="digits-cnn")} == jobs
