"""What a job leaves behind in MLflow: its run and its version."""

import json
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import onnxruntime
import pytest
import torch
from mlflow.artifacts import download_artifacts
from mlflow.entities import DatasetInput, Run
from mlflow.models import Model
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.home import tracking_uri
from pipelines.models.network import build_network
from pipelines.registry.manifest import Manifest
from pipelines.registry.package import sha256
from pipelines.spec_file import flatten, load_spec
from pipelines.training.loop import EpochReport
from tests.integration.pipelines.conftest import History
from tests.integration.pipelines.jobs import MODEL, Job

EPOCH_METRICS: dict[str, Callable[[EpochReport], float]] = {
    "train_loss": lambda report: report.train.loss,
    "val_loss": lambda report: report.validation.loss,
    "train_accuracy": lambda report: report.train.metrics["accuracy"],
    "val_accuracy": lambda report: report.validation.metrics["accuracy"],
    "penalty": lambda report: report.penalty,
    "learning_rate": lambda report: report.learning_rate,
    "epoch_seconds": lambda report: report.seconds,
    "rows_per_second": lambda report: report.rows_per_second,
    "gradient_norm": lambda report: report.metrics["gradient_norm"],
}


FIGURES = ("loss", "log_loss", "accuracy", "f1_macro", "roc_auc", "ece")
PLOTS = {"loss.png", "confusion_matrix.png", "f1_by_class.png", "reliability.png", "roc.png"}


@pytest.fixture
def job(history: History) -> Job:
    return history.jobs[0]


@pytest.fixture
def run(history: History, job: Job) -> Run:
    return history.client.get_run(job.outcome.run_id)


@pytest.fixture
def files(history: History, tmp_path: Path) -> Path:
    """The first version's files, downloaded."""
    uri = history.client.get_model_version_download_uri(MODEL, "1")
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(tmp_path), tracking_uri=tracking_uri()))


def recorded_dataset(run: Run) -> DatasetInput:
    """The one dataset that a run names as its input."""
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    return given


def test_every_job_is_one_finished_run(history: History) -> None:
    runs = history.runs()
    assert [run.info.run_id for run in runs] == [job.outcome.run_id for job in history.jobs]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.info.end_time >= run.info.start_time for run in runs)


def test_the_parameters_are_the_flattened_spec(run: Run, job: Job) -> None:
    assert run.data.params == flatten(job.spec)


@pytest.mark.parametrize("name", EPOCH_METRICS)
def test_each_epoch_gives_each_metric_one_value(name: str, history: History, job: Job) -> None:
    logged = history.client.get_metric_history(job.outcome.run_id, name)
    assert [(entry.step, entry.value) for entry in logged] == [
        (report.epoch, EPOCH_METRICS[name](report)) for report in job.recorder.reports
    ]
    assert [entry.step for entry in logged] == [1, 2, 3, 4]


def test_the_penalty_is_no_part_of_the_losses(job: Job) -> None:
    best = job.recorder.reports[job.outcome.best_epoch - 1]
    assert best.penalty > 0.01
    assert best.validation.loss == pytest.approx(job.outcome.validation.metrics["loss"], abs=1e-5)


def test_the_run_ends_with_the_figures_of_the_best_epoch(run: Run, job: Job) -> None:
    expected = {f"best_val_{name}": value for name, value in job.outcome.validation.metrics.items()}
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("best_val_")} == expected
    assert set(expected) == {f"best_val_{name}" for name in FIGURES}


def test_the_test_metrics_come_once_at_the_end(run: Run, job: Job) -> None:
    logged = {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}
    by_class = {f"test_f1/{label}": logged.pop(f"test_f1/{label}") for label in "012"}
    assert logged == {f"test_{name}": job.outcome.test.metrics[name] for name in FIGURES}
    assert np.mean([*by_class.values()]) == pytest.approx(logged["test_f1_macro"])
    assert run.data.metrics["best_epoch"] == job.outcome.best_epoch


def test_the_stages_are_told_in_order(job: Job) -> None:
    assert job.recorder.stages == [
        "loading data",
        "starting Ray",
        "opening the MLflow run",
        "starting workers",
        "evaluating",
        "exporting and registering",
    ]


def test_the_run_keeps_its_spec_and_plots(run: Run, job: Job, tmp_path: Path) -> None:
    uri = run.info.artifact_uri
    folder = Path(download_artifacts(artifact_uri=uri, dst_path=str(tmp_path), tracking_uri=tracking_uri()))
    assert load_spec(str(folder / "spec.yaml")) == job.spec
    plots = sorted(folder.joinpath("plots").iterdir())
    assert {plot.name for plot in plots} == PLOTS
    assert all(plot.read_bytes().startswith(b"\x89PNG") for plot in plots)


def test_the_dataset_is_an_input_with_digest_and_schema(run: Run, job: Job) -> None:
    given = recorded_dataset(run)
    dataset = load_dataset(job.spec)
    assert (given.dataset.name, given.dataset.digest) == ("synthetic:300x4", dataset.digest)
    columns = json.loads(str(given.dataset.schema))["mlflow_colspec"]
    assert [(column["name"], column["type"]) for column in columns] == [(f"x{i}", "float") for i in range(4)]
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "training"}


def test_a_version_holds_what_the_design_lists(files: Path, job: Job) -> None:
    ours = {
        "model.onnx",
        "weights.safetensors",
        "spec.yaml",
        "manifest.json",
        "golden.npz",
        "model_card.md",
        *(f"plots/{name}" for name in PLOTS),
    }
    mlflows = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    held = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    assert held == ours | mlflows
    assert load_spec(str(files / "spec.yaml")) == job.spec
    assert job.outcome.run_id in (files / "model_card.md").read_text()


def test_the_manifest_states_the_contract_and_hashes_every_other_file(files: Path, run: Run, job: Job) -> None:
    manifest = Manifest.model_validate_json((files / "manifest.json").read_bytes())
    held = {path.relative_to(files).as_posix(): path for path in files.rglob("*") if path.is_file()}
    del held["manifest.json"]
    assert manifest.files == {name: sha256(path.read_bytes()) for name, path in held.items()}
    assert (manifest.model, manifest.task, manifest.run_id) == (MODEL, "classification", job.outcome.run_id)
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in manifest.inputs + manifest.outputs] == [
        ("features", "FP32", (-1, 4)),
        ("probabilities", "FP32", (-1, 3)),
        ("class_index", "INT64", (-1,)),
    ]
    assert (manifest.feature_names, manifest.target) == (("x0", "x1", "x2", "x3"), "target")
    assert manifest.labels == ("0", "1", "2")
    assert manifest.dataset_digest == recorded_dataset(run).dataset.digest


def test_the_weights_make_the_network_that_the_graph_holds(files: Path, job: Job) -> None:
    dataset = load_dataset(job.spec)
    network = build_network(job.spec.model, dataset.row_shape, dataset.num_outputs, seed=99)
    weights = load_file(files / "weights.safetensors")
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    expected = predict(build_predictor(network, dataset), dataset.test.features)
    session = onnxruntime.InferenceSession(files / "model.onnx", providers=["CPUExecutionProvider"])
    probabilities, class_index = session.run(None, {"features": dataset.test.features})
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(class_index, expected["class_index"])


def test_mlflow_knows_the_version_as_an_onnx_model_with_a_signature(history: History, run: Run, files: Path) -> None:
    version = history.client.get_model_version(MODEL, "1")
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    logged = history.client.get_logged_model(output.model_id)
    assert (version.status, logged.status.value) == ("READY", "READY")
    assert version.source == logged.artifact_location
    model = Model.load(str(files))
    assert "onnx" in model.flavors
    assert model.signature is not None
    assert model.signature.inputs.input_names() == ["features"]
    assert model.signature.outputs.input_names() == ["probabilities", "class_index"]


def test_pyfunc_answers_as_torch_did(history: History, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    champion = history.registry.champions()[MODEL]
    assert champion is not None
    golden = history.registry.fetch(MODEL, champion, tmp_path).golden
    probabilities = golden.outputs["probabilities"].astype(np.float64)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri())  # MLflow's own variable, instead of its global state
    model = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    answers = model.predict(dict(golden.inputs))
    assert len(golden.inputs["features"]) == 32
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_array_equal(answers["class_index"], golden.outputs["class_index"])
