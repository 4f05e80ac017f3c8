"""Jobs of the stack under test, and what is left of them in MLflow."""

import secrets

from mlflow import MlflowClient

from pipelines.spec_file import dump_spec, load_spec
from services.cli.training_client import TrainingClient
from services.training.pb import training_pb2 as pb

LONG = ("training.epochs=40", "training.batch_size=8", "training.early_stopping=null")
"""Overrides of digits-cnn that make a job long enough to be disturbed."""


def submit(training: TrainingClient, *overrides: str, recipe: str = "digits-cnn", key: str = "") -> str:
    """The id of a new job."""
    job, created = training.submit(dump_spec(load_spec(recipe, overrides)), key or secrets.token_hex(16))
    assert created
    return job.id


def wait_for_epoch(training: TrainingClient, job_id: str, epoch: int) -> None:
    """Return when the job has trained that many epochs."""
    for event in training.watch(job_id):
        if event.HasField("epoch") and event.epoch.epoch >= epoch:
            return
    raise AssertionError(f"job {job_id} ended before epoch {epoch}: {training.get(job_id)}")


def wait_for_end(training: TrainingClient, job_id: str) -> pb.Job:
    """The job as it ended."""
    *_, last = (event.job for event in training.watch(job_id) if event.HasField("job"))
    return last


def curve(mlflow: MlflowClient, run_id: str, metric: str = "train_loss") -> list[tuple[int, float]]:
    """A metric of a run: epoch and value, each as often as it was logged."""
    return sorted((entry.step, entry.value) for entry in mlflow.get_metric_history(run_id, metric))


def runs_of(mlflow: MlflowClient, experiment: str) -> set[str]:
    """The ids of all runs in an experiment."""
    found = mlflow.get_experiment_by_name(experiment)
    return {run.info.run_id for run in mlflow.search_runs([found.experiment_id])} if found else set()
