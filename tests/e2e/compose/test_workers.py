"""Two Ray workers of the stack train one job together, and come to what one machine comes to."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from services.cli.training_client import TrainingClient
from services.training.pb import training_pb2 as pb
from tests.e2e.compose.jobs import curve, submit, wait_for_end
from tests.e2e.compose.stack import ROOT, compose, containers, eventually

pytestmark = pytest.mark.timeout(900)

EPOCHS = ("training.epochs=6", "training.early_stopping=null")
APART = ("compute.workers=2", "compute.cpus_per_worker=2")
"""Each worker takes all CPUs of a node, so that the two cannot share one."""


@pytest.fixture
def two_nodes(training: TrainingClient) -> Iterator[None]:
    compose("up", "--detach", "--wait", "--no-recreate", "--scale", "ray-worker=2", "ray-worker")
    eventually(lambda: sum(node.cpus >= 2 for node in training.status().nodes) == 2, 60, "two nodes have joined")
    yield
    compose("up", "--detach", "--wait", "--no-recreate", "--scale", "ray-worker=1", "ray-worker")


def local_curve(home: Path) -> list[tuple[int, float]]:
    """The same job on this machine, without the stack."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | {"DRIVETRAIN_HOME": str(home)}
    overrides = [f"--set={override}" for override in (*EPOCHS, "compute.workers=2")]
    command = [sys.executable, "-m", "services.cli", "train", "digits-cnn", *overrides]
    subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True, timeout=400)
    local = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    [experiment] = [each for each in local.search_experiments() if each.name == "digits-cnn"]
    [run] = local.search_runs([experiment.experiment_id])
    return curve(local, run.info.run_id)


@pytest.mark.usefixtures("two_nodes")
def test_two_nodes_train_one_job(training: TrainingClient, mlflow: MlflowClient, tmp_path: Path) -> None:
    assert len(containers("ray-worker")) == 2
    job = wait_for_end(training, submit(training, *EPOCHS, *APART))
    assert job.state == pb.JOB_STATE_FINISHED, job
    steps, losses = zip(*curve(mlflow, job.id), strict=True)
    local_steps, local_losses = zip(*local_curve(tmp_path), strict=True)
    assert steps == local_steps
    assert losses == pytest.approx(local_losses, rel=1e-5)
