"""`drivetrain resume` of what was trained here: interrupted or killed at any moment, it ends as if nothing had been."""

import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file

from pipelines.spec_file import load_spec
from pipelines.tracking import FAILURE_TAG
from tests.integration.cli.commands import Running, drivetrain, processes_of, running
from tests.integration.cli.conftest import invoke
from tests.integration.pipelines.cluster import local_ray
from tests.integration.pipelines.processes import kill, named
from tests.integration.pipelines.undisturbed import undisturbed
from tests.waiting import eventually

EPOCHS = 300
SPEC = ("digits-mlp", "--set", f"training.epochs={EPOCHS}", "--set", "training.early_stopping=null")

pytestmark = pytest.mark.slow


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}")


def weights(home: Path, model: str) -> Mapping[str, bytes]:
    folder = Path(client_of(home).get_model_version_download_uri(model, "1").removeprefix("file://"))
    return {name: array.tobytes() for name, array in load_file(folder / "weights.safetensors").items()}


@pytest.fixture(scope="module")
def expected() -> Mapping[str, bytes]:
    """The weights of the same job when nothing happens to it."""
    return undisturbed(load_spec(SPEC[0], SPEC[2::2])).weights


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """For those that go on in this process, which is quicker than in one of their own."""
    with local_ray():
        yield


def kill_driver(job: Running) -> None:
    kill(job.popen.pid)


def interrupt(job: Running) -> None:
    job.popen.send_signal(signal.SIGINT)


def kill_ray(job: Running) -> None:
    """Its own processes, as the driver started them; the workers are left to themselves."""
    (head,), (node,) = named("gcs_server", job.popen.pid), named("raylet", job.popen.pid)
    kill(head)
    kill(node)


@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize(
    ("cut_off", "status", "reason"),
    [
        (kill_driver, "RUNNING", ""),
        (interrupt, "KILLED", "interrupted"),
        (kill_ray, "FAILED", "the local Ray was lost"),
    ],
)
def test_a_job_that_was_cut_off_goes_on_in_its_run_to_the_same_weights(
    cut_off: Callable[[Running], None],
    status: str,
    reason: str,
    expected: Mapping[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running("train", *SPEC, home=tmp_path) as job:
        eventually(lambda: any(tmp_path.glob("checkpoints/*/*/*.pt")))
        (run_id,) = (folder.name for folder in (tmp_path / "checkpoints").iterdir())
        cut_off(job)
        job.popen.wait(60)
        assert (f"drivetrain resume {run_id}" in job.printed()) == bool(reason)
    run = client_of(tmp_path).get_run(run_id)
    assert run.info.status == status
    assert run.data.tags.get(FAILURE_TAG, "").startswith(reason)
    # Ray's own agents may stay for a minute.
    eventually(lambda: not any("ray::Worker" in command for command in processes_of(tmp_path).values()))

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    resumed = invoke("resume", run_id[:8])
    assert resumed.exit_code == 0, resumed.output
    client = client_of(tmp_path)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert [entry.step for entry in client.get_metric_history(run_id, "train_loss")] == list(range(1, EPOCHS + 1))
    assert weights(tmp_path, "digits-mlp") == expected

    again = drivetrain("resume", run_id, home=tmp_path)
    assert (again.returncode, "has finished already" in again.stderr) == (1, True)
