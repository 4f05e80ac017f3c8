"""Attempts at a job: carried out, killed and gone on with, stopped, superseded, and refused for their spec or data."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.artifacts import download_artifacts
from safetensors.numpy import load_file

from pipelines.home import datasets_folder, mlflow_client, tracking_uri
from pipelines.spec.training_spec import TrainingSpec
from pipelines.tracking import FAILURE_TAG
from services.training.driver import main
from services.training.journal import write_fence
from services.training.record import SPEC_SHA256_TAG
from tests.integration.pipelines.cluster import local_ray
from tests.integration.pipelines.jobs import FOREVER, MODEL, Home, small
from tests.integration.pipelines.undisturbed import undisturbed
from tests.integration.training.attempts import checkpoints, driver, epochs, journal, run_of, submit
from tests.integration.training.conftest import in_use
from tests.waiting import PATIENCE_S, eventually

pytestmark = pytest.mark.slow

EPOCHS = 150
LONG = small(data={"source": "synthetic", "rows": 3000, "features": 4, "classes": 3}, training={"epochs": EPOCHS})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    in_use(tmp_path / "home", monkeypatch)
    mlflow_client().search_experiments()  # makes the database
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def own_ray() -> Iterator[None]:
    with local_ray():
        yield


def published(home: Home, folder: Path) -> dict[str, bytes]:
    """The weights of the only version."""
    (version,) = home.registry.versions(MODEL)
    uri = home.client.get_model_version_download_uri(MODEL, version.version)
    files = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=tracking_uri()))
    return {name: weight.tobytes() for name, weight in load_file(files / "weights.safetensors").items()}


def test_a_killed_driver_has_a_successor_that_leaves_no_gap_and_no_double(home: Home, tmp_path: Path) -> None:
    run_id = submit(home, LONG)
    with driver(run_id, 1) as first:
        eventually(lambda: bool(checkpoints(run_id) and epochs(journal(run_id))))
        first.kill()
    seen = epochs(journal(run_id))
    assert 0 < len(seen) < EPOCHS
    assert run_of(home, run_id).info.status == "RUNNING"

    with driver(run_id, 2) as second:
        assert second.wait(2 * PATIENCE_S) == 0
    run = run_of(home, run_id)
    assert run.info.status == "FINISHED"
    for name in ("train_loss", "val_accuracy", "epoch_seconds"):
        steps = [entry.step for entry in home.client.get_metric_history(run_id, name)]
        assert sorted(steps) == list(range(1, EPOCHS + 1)), name
    assert len(home.client.get_metric_history(run_id, "test_loss")) == 1
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1
    assert not checkpoints(run_id)
    assert seen + epochs(journal(run_id, 2)) == list(range(1, EPOCHS + 1))
    (outcome,) = [line for line in journal(run_id, 2) if line["kind"] == "outcome"]
    assert (outcome["version"], outcome["promoted"]) == ("1", True)
    assert published(home, tmp_path) == undisturbed(LONG).weights


def test_a_stopped_driver_ends_its_run_killed_and_keeps_the_checkpoint(home: Home) -> None:
    run_id = submit(home, small(training=FOREVER))
    with driver(run_id, 1) as process:
        eventually(lambda: bool(checkpoints(run_id)))
        process.send_signal(signal.SIGTERM)
        eventually(lambda: run_of(home, run_id).info.status == "KILLED")
        assert process.wait(2 * PATIENCE_S) == 0
    assert run_of(home, run_id).data.tags[FAILURE_TAG] == "interrupted"
    assert checkpoints(run_id)
    assert home.registry.champions() == {}


def test_a_superseded_driver_leaves_the_run_as_it_is(home: Home) -> None:
    run_id = submit(home, small(training=FOREVER))
    with driver(run_id, 1) as process:
        eventually(lambda: bool(epochs(journal(run_id))))
        write_fence(run_id, 2)
        assert process.wait(2 * PATIENCE_S) == 0
    run = run_of(home, run_id)
    assert (run.info.status, run.info.end_time) == ("RUNNING", None)
    assert FAILURE_TAG not in run.data.tags
    assert main([run_id, "1"]) == 0
    assert run_of(home, run_id).info.status == "RUNNING"
    assert "attempt 2 has the run" in journal(run_id)[-1]["text"]


@pytest.mark.usefixtures("own_ray")
def test_uploaded_content_is_data_like_any_other(home: Home) -> None:
    address = "ab" * 32
    datasets_folder().mkdir(parents=True)
    (datasets_folder() / address).write_text("x,y\n" + "".join(f"{row},{row % 2}\n" for row in range(60)))
    spec = small(data={"source": "csv", "path": f"sha256:{address}", "target": "y"})
    run_id = submit(home, spec)
    assert main([run_id, "1"]) == 0
    run = run_of(home, run_id)
    assert run.info.status == "FINISHED"
    assert [line["text"] for line in journal(run_id) if line["kind"] == "stage"] == [
        "loading data",
        "starting workers",
        "evaluating",
        "exporting and registering",
    ]
    assert main([run_id, "2"]) == 0
    assert run_of(home, run_id).info.end_time == run.info.end_time
    assert "has finished already" in journal(run_id, 2)[-1]["text"]


@pytest.mark.usefixtures("own_ray")
@pytest.mark.parametrize(
    ("spec", "tags", "reason"),
    [
        (
            small(data={"source": "csv", "path": f"sha256:{'0' * 64}"}),
            {},
            f"data.path: expected content that has been uploaded here, came 'sha256:{'0' * 64}', which has not",
        ),
        (small(), {SPEC_SHA256_TAG: "0"}, "the tags drivetrain.job.spec.* do not hold the spec"),
    ],
)
def test_what_cannot_be_trained_fails_with_its_reason(
    spec: TrainingSpec, tags: dict[str, str], reason: str, home: Home
) -> None:
    run_id = submit(home, spec, **tags)
    assert main([run_id, "1"]) == 0
    run = run_of(home, run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE_TAG].startswith(reason)
    (failure,) = [line for line in journal(run_id) if line["kind"] == "failure"]
    assert failure["reason"].startswith(reason)


@pytest.mark.usefixtures("own_ray")
def test_a_run_that_is_not_there_is_a_crash(home: Home) -> None:
    assert main(["0" * 32, "1"]) == 1
    assert "gave no run" in journal("0" * 32)[-1]["text"]
