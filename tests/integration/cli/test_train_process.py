"""`train` as a process of its own: how it ends when the job fails and when it is told to end."""

import signal
from pathlib import Path

import pytest

from pipelines.tracking import FAILURE_TAG
from tests.integration.cli.commands import drivetrain, processes_of, running
from tests.integration.pipelines.jobs import Home
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    return Home(tmp_path)


def test_a_failing_job_exits_1_with_its_reason(home: Home) -> None:
    overrides = ["--set", "optimizer.learning_rate=99", "--set", "optimizer.name=sgd"]
    result = drivetrain("train", "diabetes-mlp", *overrides, home=home.directory)
    assert result.returncode == 1
    assert result.stderr.startswith("error: the loss is no longer finite in epoch ")
    assert len(result.stderr.splitlines()) == 1
    (run,) = home.runs("diabetes-mlp")
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE_TAG] in result.stderr
    eventually(lambda: processes_of(home.directory) == {})


def test_a_job_that_is_told_to_end_is_killed_and_leaves_no_process(home: Home) -> None:
    endless = ["synthetic-mlp", "--set", "training.epochs=1000000"]
    with running("train", *endless, home=home.directory) as command:
        command.wait_for("synthetic-mlp: epoch 10")
        assert len(processes_of(home.directory)) > 1
        command.popen.send_signal(signal.SIGTERM)
        assert command.popen.wait(60) > 0
        assert "Traceback" not in command.printed()
    (run,) = home.runs("synthetic-mlp")
    assert (run.info.status, run.data.tags[FAILURE_TAG]) == ("KILLED", "interrupted")
    assert run.info.end_time is not None
    assert home.registry.champions() == {}
    eventually(lambda: processes_of(home.directory) == {})
