"""`drivetrain resume` of what was trained here: interrupted or killed at any moment, it ends as if nothing had been."""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file

from pipelines.tracking import FAILURE_TAG
from tests.integration.cli.commands import Running, drivetrain, processes_of, running
from tests.integration.pipelines.jobs import eventually
from tests.integration.pipelines.processes import kill, named

EPOCHS = 600
SPEC = ("digits-mlp", "--set", f"training.epochs={EPOCHS}", "--set", "training.early_stopping=null")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def weights(home: Path, model: str) -> Mapping[str, bytes]:
    folder = Path(client_of(home).get_model_version_download_uri(model, "1").removeprefix("file://"))
    return {name: array.tobytes() for name, array in load_file(folder / "weights.safetensors").items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("undisturbed")
    finished = drivetrain("train", *SPEC, home=home)
    assert finished.returncode == 0, finished.stderr
    return home


def kill_driver(job: Running) -> None:
    kill(job.popen.pid)


def interrupt(job: Running) -> None:
    job.popen.send_signal(signal.SIGINT)


def kill_ray(job: Running) -> None:
    """Its own processes, as the driver started them; the workers are left to themselves."""
    for name in ("gcs_server", "raylet"):
        (pid,) = named(name, job.popen.pid)
        kill(pid)


@pytest.mark.parametrize(
    ("cut_off", "status", "reason"),
    [
        (kill_driver, "RUNNING", ""),
        (interrupt, "KILLED", "interrupted"),
        (kill_ray, "FAILED", "the local Ray was lost"),
    ],
)
def test_a_job_that_was_cut_off_goes_on_in_its_run_to_the_same_weights(
    cut_off: Callable[[Running], None], status: str, reason: str, undisturbed: Path, tmp_path: Path
) -> None:
    with running("train", *SPEC, home=tmp_path) as job:
        eventually(lambda: any(tmp_path.glob("checkpoints/*/*/*.pt")), within_s=90)
        (run_id,) = (folder.name for folder in (tmp_path / "checkpoints").iterdir())
        cut_off(job)
        job.popen.wait(60)
        assert (f"drivetrain resume {run_id}" in job.printed()) == bool(reason)
    run = client_of(tmp_path).get_run(run_id)
    assert run.info.status == status
    assert run.data.tags.get(FAILURE_TAG, "").startswith(reason)
    # Ray's own agents may stay for a minute.
    eventually(lambda: not any("ray::Worker" in command for command in processes_of(tmp_path).values()), within_s=60)

    resumed = drivetrain("resume", run_id[:8], home=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    client = client_of(tmp_path)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert [entry.step for entry in client.get_metric_history(run_id, "train_loss")] == list(range(1, EPOCHS + 1))
    assert weights(tmp_path, "digits-mlp") == weights(undisturbed, "digits-mlp")


def test_a_finished_job_is_left_alone(undisturbed: Path) -> None:
    (model,) = client_of(undisturbed).search_model_versions()
    again = drivetrain("resume", str(model.run_id), home=undisturbed)
    assert (again.returncode, "has finished already" in again.stderr) == (1, True)
