"""A run that goes on in another process: no gap, no double, and ended as any other."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from pipelines import tracking
from pipelines.data.loading import load_dataset
from pipelines.errors import SupersededError, TrackingError
from pipelines.spec_file import flatten
from pipelines.tracking import FAILURE_TAG, Run, adopt_run
from tests.integration.pipelines.jobs import MODEL, Home, small


class Gone:
    """A fence that is raised when a test says so."""

    def __init__(self) -> None:
        self.raised = False

    def __call__(self) -> None:
        if self.raised:
            raise SupersededError("attempt 2 has the run")


@pytest.fixture
def run_id(home: Home) -> str:
    """A run that waits for its first attempt."""
    experiment = home.client.create_experiment(MODEL, (home.directory / "artifacts").as_uri())
    created: str = home.client.create_run(experiment).info.run_id
    home.client.update_run(created, status="SCHEDULED")
    return created


def run_of(home: Home, run_id: str) -> MlflowRun:
    return home.client.get_run(run_id)


def log_epochs(run: Run, epochs: range) -> None:
    for epoch in epochs:
        run.log_metrics({"train_loss": 1 / epoch, "val_loss": 2 / epoch}, step=epoch)


def history(home: Home, run_id: str, name: str) -> Iterator[tuple[int, float]]:
    return ((entry.step, entry.value) for entry in home.client.get_metric_history(run_id, name))


@contextmanager
def interrupted_attempt(home: Home, run_id: str) -> Iterator[Run]:
    """An attempt that is stopped at the end of the block."""
    with suppress(KeyboardInterrupt), adopt_run(home.client, run_id, Gone()) as run:
        yield run
        raise KeyboardInterrupt


def test_an_adopted_run_is_running_and_then_finished(home: Home, run_id: str) -> None:
    with adopt_run(home.client, run_id, Gone()) as run:
        assert run_of(home, run_id).info.status == "RUNNING"
        assert run.folder.is_dir()
        assert run.closed_as is None
    assert run.closed_as == run_of(home, run_id).info.status == "FINISHED"
    assert not run.folder.exists()


def test_the_next_attempt_leaves_no_gap_and_no_double(home: Home, run_id: str) -> None:
    with interrupted_attempt(home, run_id) as run:
        log_epochs(run, range(1, 5))
    before = run_of(home, run_id)
    assert (before.info.status, before.data.tags[FAILURE_TAG]) == ("KILLED", "interrupted")
    with adopt_run(home.client, run_id, Gone()) as run:
        assert FAILURE_TAG not in run_of(home, run_id).data.tags
        log_epochs(run, range(1, 8))
        run.log_metrics({"test_loss": 0.5}, step=3)
    for name, numerator in (("train_loss", 1), ("val_loss", 2)):
        assert list(history(home, run_id, name)) == [(epoch, numerator / epoch) for epoch in range(1, 8)]
    assert list(history(home, run_id, "test_loss")) == [(3, 0.5)]
    after = run_of(home, run_id)
    assert after.info.status == "FINISHED"
    assert after.info.end_time > before.info.end_time


def test_final_figures_that_are_there_are_not_doubled(home: Home, run_id: str) -> None:
    for _ in range(2):
        with interrupted_attempt(home, run_id) as run:
            log_epochs(run, range(1, 3))
            run.log_metrics({"test_loss": 0.5}, step=2)
    assert list(history(home, run_id, "test_loss")) == [(2, 0.5)]


def test_many_epochs_are_written_by_whole_epochs(home: Home, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that an epoch whose train_loss is there has its other metrics too."""
    writing, batches = MlflowClient.log_batch, []

    def log_batch(client: MlflowClient, run: str, metrics: list[Metric]) -> None:
        batches.append(len(metrics))
        writing(client, run, metrics)

    monkeypatch.setattr(MlflowClient, "log_batch", log_batch)
    with adopt_run(home.client, run_id, Gone()) as run:
        log_epochs(run, range(1, 1002))
    assert sum(batches) == 2002
    assert all(size % 2 == 0 and size <= 1000 for size in batches)
    assert [step for step, _ in history(home, run_id, "train_loss")] == list(range(1, 1002))


def test_inputs_can_be_recorded_twice(home: Home, run_id: str) -> None:
    spec = small()
    dataset = load_dataset(spec)
    for _ in range(2):
        with interrupted_attempt(home, run_id) as run:
            run.log_params(flatten(spec))
            run.log_dataset(dataset)
            (run.folder / "spec.yaml").write_text("name: small\n")
            run.log_artifact(run.folder / "spec.yaml")
    recorded = run_of(home, run_id)
    assert recorded.data.params == flatten(spec)
    assert recorded.inputs is not None
    assert len(recorded.inputs.dataset_inputs) == 1
    assert [entry.path for entry in home.client.list_artifacts(run_id)] == ["spec.yaml"]


def test_who_is_superseded_writes_nothing_more(home: Home, run_id: str) -> None:
    fence = Gone()
    with suppress(SupersededError), adopt_run(home.client, run_id, fence) as run:
        log_epochs(run, range(1, 2))
        fence.raised = True
    assert run.closed_as is None
    left = run_of(home, run_id)
    assert (left.info.status, left.info.end_time) == ("RUNNING", None)
    assert FAILURE_TAG not in left.data.tags
    with pytest.raises(SupersededError), adopt_run(home.client, run_id, fence):
        pass


def test_a_finished_run_is_nobodys_to_adopt(home: Home, run_id: str) -> None:
    home.client.set_terminated(run_id, "FINISHED")
    with pytest.raises(SupersededError, match="has finished already"), adopt_run(home.client, run_id, Gone()):
        pass
    assert run_of(home, run_id).info.status == "FINISHED"


@pytest.mark.parametrize(("away", "outlasted"), [(1, True), (1000, False)])
def test_adopting_outlasts_an_outage(
    away: int, outlasted: bool, home: Home, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    answering = MlflowClient.get_run

    def get_run(client: MlflowClient, run: str) -> MlflowRun:
        nonlocal asked
        asked += 1
        if asked <= away:
            raise MlflowException("the connection was refused")
        return answering(client, run)

    monkeypatch.setattr(MlflowClient, "get_run", get_run)
    monkeypatch.setattr(tracking, "_PATIENCE_WITH_ADOPTED_S", 60.0 if outlasted else 0.5)
    if outlasted:
        with adopt_run(home.client, run_id, Gone()) as run:
            pass
        assert run.closed_as == "FINISHED"
    else:
        with pytest.raises(TrackingError, match="gave no run"), adopt_run(home.client, run_id, Gone()):
            pass


def test_a_run_that_is_not_there_is_refused_at_once(home: Home) -> None:
    with pytest.raises(TrackingError, match=r"gave no run 0+ to adopt"), adopt_run(home.client, "0" * 32, Gone()):
        pass
