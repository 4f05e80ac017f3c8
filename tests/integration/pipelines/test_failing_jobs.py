"""What becomes of run, worker and registry when a job fails, is interrupted, or meets faults of MLflow."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from pipelines import tracking
from pipelines.data.loading import load_dataset
from pipelines.errors import DataError, NonFiniteError, RegistryError, ResourceError, TrackingError
from pipelines.home import checkpoints_folder
from pipelines.pipeline import run_pipeline
from pipelines.records import WARNING_TAG
from pipelines.registry.model_registry import PROMOTED_TAG
from pipelines.spec_file import build_spec, flatten
from pipelines.tracking import FAILURE_TAG
from pipelines.training.loop import EpochReport
from tests.integration.pipelines.cluster import is_idle, total
from tests.integration.pipelines.conftest import History
from tests.integration.pipelines.jobs import FOREVER, MODEL, Home, Recorder, small
from tests.waiting import eventually

DIVERGING = build_spec(
    {
        "name": MODEL,
        "data": {"source": "sklearn", "dataset": "diabetes"},
        "loss": {"name": "mse"},
        "optimizer": {"name": "sgd", "learning_rate": 99},
    }
)

pytestmark = pytest.mark.usefixtures("cluster")


@dataclass
class Outage:
    """MLflow does not answer some of the calls of one method of its client."""

    method: str
    failing: int
    """So many calls fail, then it is over."""

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        answering = getattr(MlflowClient, self.method)

        def call(client: MlflowClient, *args: object, **kwargs: object) -> object:
            if self.failing > 0:
                self.failing -= 1
                raise MlflowException("the connection was refused")
            return answering(client, *args, **kwargs)

        patch.setattr(MlflowClient, self.method, call)


def only_run(home: Home) -> Run:
    (run,) = home.runs()
    return run


def interrupt(report: EpochReport) -> None:
    if report.epoch == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"source": "csv", "path": "none.csv"}, "data.path: expected an existing file or folder, came 'none.csv'"),
        ({"source": "csv", "path": "some.csv", "target": "z"}, "data.target: expected one of the columns 'x', 'y'"),
        ({"source": "csv", "path": "some.csv", "target": "y"}, "'x', or data.missing: impute, came a missing value"),
    ],
)
def test_wrong_data_is_refused_before_there_is_a_run(
    data: dict[str, str], message: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.csv").write_text("x,y\n1,a\n,b\n")
    watcher = Recorder()
    with pytest.raises(DataError) as caught:
        run_pipeline(small(data=data), watcher)
    assert message in str(caught.value)
    assert watcher.stages == ["loading data"]
    assert home.runs() == []


@dataclass
class DiskFiller(Recorder):
    """Leaves the workers of a job no folder to put checkpoints into."""

    folder: str = ""

    def opened(self, run_id: str) -> None:
        (checkpoints_folder(run_id) / self.folder).touch()


def test_what_a_worker_warns_of_reaches_the_watcher_and_the_run(home: Home) -> None:
    spec = small()
    watcher = DiskFiller(folder=load_dataset(spec).digest)
    run_pipeline(spec, watcher)
    *_, last = watcher.warnings  # on a slow machine earlier epochs are warned of too
    assert last.startswith("worker 0: could not write the checkpoint of 4 epochs (")
    assert only_run(home).data.tags[f"{WARNING_TAG}worker_0"] == last


@pytest.mark.parametrize(("resource", "field"), [("CPU", "cpus_per_worker"), ("GPU", "gpus_per_worker")])
def test_more_than_the_cluster_has_is_refused_before_there_is_a_run(resource: str, field: str, home: Home) -> None:
    wanted = total(resource) + 1
    with pytest.raises(ResourceError, match=rf"asks for {wanted} {resource}s .* has {wanted - 1}"):
        run_pipeline(small(compute={field: wanted}), Recorder())
    assert home.runs() == []


def test_more_memory_than_the_cluster_has_is_refused(home: Home) -> None:
    with pytest.raises(ResourceError, match=r"asks for 60000 GiB of memory \(1 workers × 60000\), .* has \d"):
        run_pipeline(small(compute={"memory_gib_per_worker": 60_000}), Recorder())
    assert home.runs() == []


def test_a_diverging_job_fails_with_its_reason(home: Home) -> None:
    message = (
        r"no longer finite in epoch \d+: the first bad value is in .* with the training rows \d+, .*; try a smaller"
    )
    with pytest.raises(NonFiniteError, match=message):
        run_pipeline(DIVERGING, Recorder())
    run = only_run(home)
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE_TAG].startswith("the loss is no longer finite")
    assert home.registry.champions() == {}
    eventually(is_idle)


def test_an_interrupted_job_is_killed_and_its_worker_gone(home: Home) -> None:
    watcher = Recorder(on_epoch=interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(small(training=FOREVER), watcher)
    run = only_run(home)
    assert (run.info.status, run.data.tags[FAILURE_TAG]) == ("KILLED", "interrupted")
    steps = [entry.step for entry in home.client.get_metric_history(run.info.run_id, "train_loss")]
    assert steps == [report.epoch for report in watcher.reports] == [1, 2]
    assert home.registry.champions() == {}
    eventually(is_idle)


def test_a_registry_that_cannot_write_fails_the_job(
    history: History, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_PATIENCE_S", 2.0)
    history.copy_to(home.directory)
    registered = [entry.version for entry in home.registry.versions(MODEL)]
    with home.without("model_version_tags"), pytest.raises(RegistryError, match="cannot "):
        run_pipeline(small(), Recorder())
    run = home.runs()[-1]
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE_TAG].startswith("cannot ")
    assert run.data.metrics["best_epoch"] > 0
    assert [entry.version for entry in home.registry.versions(MODEL)] == registered
    assert home.registry.champions() == {MODEL: "3"}


def test_publishing_outlasts_an_outage_and_registers_one_version(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("log_model_artifacts", "create_model_version", "set_registered_model_alias"):
        Outage(method, 1).begin(monkeypatch)
    outcome = run_pipeline(small(), Recorder())
    assert [entry.version for entry in home.registry.versions(MODEL)] == [outcome.version] == ["1"]
    assert home.registry.champions() == {MODEL: "1"}
    run = only_run(home)
    assert run.info.status == "FINISHED"
    assert FAILURE_TAG not in run.data.tags
    assert not checkpoints_folder(run.info.run_id).exists()


def test_training_goes_on_while_tracking_is_away_and_nothing_is_lost(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Also the job whose promotion rule is never."""
    for outage in (Outage("log_batch", 3), Outage("log_inputs", 1), Outage("log_artifact", 2)):
        outage.begin(monkeypatch)
    spec = small(training={"epochs": 30}, registry={"promote": "never"})
    watcher = Recorder()
    with caplog.at_level(logging.WARNING, "pipelines.tracking"):
        outcome = run_pipeline(spec, watcher)
    assert "could not write" in caplog.text
    run = only_run(home)
    assert run.info.status == "FINISHED"
    logged = home.client.get_metric_history(run.info.run_id, "train_loss")
    assert [(entry.step, entry.value) for entry in logged] == [
        (report.epoch, report.train.loss) for report in watcher.reports
    ]
    assert run.data.metrics["test_accuracy"] == outcome.test.metrics["accuracy"]
    assert run.data.params == flatten(spec)
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1
    assert {entry.path for entry in home.client.list_artifacts(run.info.run_id)} == {"spec.yaml", "plots"}

    assert outcome.decision.reason == "registry.promote is never"
    assert home.client.get_model_version(MODEL, "1").tags[PROMOTED_TAG] == "false"
    assert home.registry.champions() == {MODEL: None}


def test_a_run_that_cannot_be_opened_fails_the_job_before_it_trains(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    Outage("create_run", 1).begin(monkeypatch)
    watcher = Recorder()
    with pytest.raises(TrackingError, match="opened no run: the connection was refused"):
        run_pipeline(small(), watcher)
    assert watcher.stages[-1] == "opening the MLflow run"
    assert home.runs() == []
