"""Clients of the stack that `make test-compose` has started. Without it these tests are not collected."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from services.cli.prediction_client import prediction_client
from services.cli.training_client import TrainingClient
from services.prediction.client import PredictionClient
from services.training.pb import training_pb2 as pb
from tests.e2e.compose.jobs import submit, wait_for_end
from tests.e2e.compose.stack import address, eventually

collect_ignore_glob = [] if os.environ.get("DRIVETRAIN_COMPOSE_TESTS") == "yes" else ["test_*.py"]


def secret(name: str) -> str:
    """One of the stack's secrets."""
    return (Path(os.environ["DRIVETRAIN_SECRETS"]) / name).read_text()


@pytest.fixture(scope="session", autouse=True)
def _client_environment() -> Iterator[None]:
    """What `source client.env` sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIVETRAIN_TOKEN", secret("client-token"))
        patch.setenv("MLFLOW_TRACKING_URI", f"http://{address('mlflow', 5000)}")
        patch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", secret("mlflow-admin-password"))
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "6")
        yield


@pytest.fixture
def training() -> Iterator[TrainingClient]:
    with TrainingClient(address("training", 8003)) as client:
        yield client


@pytest.fixture
def prediction() -> Iterator[PredictionClient]:
    with prediction_client(address("prediction", 8001)) as client:
        yield client


@pytest.fixture
def mlflow() -> MlflowClient:
    return MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


@pytest.fixture(scope="session")
def _served(_client_environment: None) -> None:
    """A champion of digits-cnn, made through the training service unless there is one."""
    with prediction_client(address("prediction", 8001)) as prediction:
        if not prediction.is_model_ready("digits-cnn"):
            with TrainingClient(address("training", 8003)) as training:
                job = wait_for_end(training, submit(training, "training.epochs=3"))
            assert job.state == pb.JOB_STATE_FINISHED, job
        eventually(lambda: prediction.is_model_ready("digits-cnn"), 60, "digits-cnn is served")
