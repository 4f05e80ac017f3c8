"""Jobs that ask for a smaller variant: what is registered, what is served, and what the run says of it."""

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mlflow.artifacts import download_artifacts
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.pipeline import Outcome, run_pipeline
from pipelines.records import VARIANT_REASON_TAG
from pipelines.registry.manifest import Variant
from pipelines.registry.model_registry import VARIANT_TAG
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.prediction.serving import raw_request, serving

PYFUNC = """
import json, sys
import mlflow
import numpy as np

uri, model, path = sys.argv[1:]
mlflow.set_tracking_uri(uri)
answers = mlflow.pyfunc.load_model(f"models:/{model}@champion").predict(np.load(path))
print(json.dumps({name: array.tolist() for name, array in answers.items()}))
"""


async def finished(spec: TrainingSpec) -> Outcome:
    return await asyncio.to_thread(run_pipeline, spec, Recorder())


@pytest.mark.parametrize("variant", ["int8", "bf16"])
async def test_a_variant_within_the_tolerance_is_served(
    variant: Variant, cluster: None, home: Home, tmp_path: Path
) -> None:
    spec = small(registry={"variant": variant, "variant_tolerance": 0.2})
    outcome = await finished(spec)
    package = home.registry.fetch(MODEL, outcome.version, tmp_path)
    check = package.manifest.variant_check
    assert check is not None
    assert (package.manifest.variant, check.asked, check.metric, check.tolerance) == (variant, variant, "accuracy", 0.2)
    assert check.value == outcome.validation.metrics["accuracy"]

    run = home.client.get_run(outcome.run_id)
    assert run.data.tags[VARIANT_TAG] == variant
    assert run.data.tags[VARIANT_REASON_TAG].startswith(f"{variant} is served: validation accuracy is ")
    assert run.data.metrics[f"val_accuracy_{variant}"] == check.value
    assert run.data.metrics["val_accuracy_fp32"] == check.fp32_value
    assert [each.variant for each in home.registry.versions(MODEL)] == [variant]

    rows = load_dataset(spec).test.features[: len(package.golden.inputs["features"])]
    async with serving(home.registry) as it:
        metadata = await it.stub.ModelMetadata(pb.ModelMetadataRequest(name=MODEL))
        answer = await it.stub.ModelInfer(raw_request(MODEL, rows))
        alone = await it.stub.ModelInfer(raw_request(MODEL, rows[:1]))
    assert metadata.properties["variant"] == variant
    served = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(len(rows), -1)
    np.testing.assert_allclose(served, np.asarray(package.golden.outputs["probabilities"], np.float32), atol=1e-5)
    np.testing.assert_allclose(np.frombuffer(alone.raw_output_contents[0], np.float32), served[0], atol=1e-6)


async def test_mlflow_loads_an_int8_version_with_the_fp32_weights_beside(
    cluster: None, home: Home, tmp_path: Path
) -> None:
    spec = small(registry={"variant": "int8", "variant_tolerance": 1})
    outcome = await finished(spec)
    uri = home.client.get_model_version_download_uri(MODEL, outcome.version)
    folder = Path(download_artifacts(artifact_uri=uri, dst_path=str(tmp_path), tracking_uri=home.client.tracking_uri))
    assert {weight.dtype for weight in load_file(folder / WEIGHTS_FILE).values()} == {np.dtype(np.float32)}
    assert "- Variant: int8 is served: " in (folder / "model_card.md").read_text()
    (tmp_path / "package").mkdir()
    golden = home.registry.fetch(MODEL, outcome.version, tmp_path / "package").golden
    np.save(tmp_path / "rows.npy", golden.inputs["features"])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PYFUNC, home.client.tracking_uri, MODEL, str(tmp_path / "rows.npy")),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0
    answers = json.loads(printed.splitlines()[-1])
    recorded = np.asarray(golden.outputs["probabilities"], np.float32)
    np.testing.assert_allclose(answers["probabilities"], recorded, atol=1e-5)


async def test_a_variant_that_loses_too_much_is_not_served(
    cluster: None, home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A few rows have one huge feature: on a scale of 255 steps up to it, the others are all nothing."""
    features = np.random.default_rng(0).choice([-1.0, 1.0], (300, 4)).astype(np.float32)
    target = np.where(features[:, 0] > 0, "yes", "no")
    features[:10, 3] = 1e6
    np.savez(tmp_path / "rows.npz", features=features, target=target)
    sections = {
        "name": MODEL,
        "data": {"source": "npz", "path": str(tmp_path / "rows.npz"), "standardize": False},
        "model": {"family": "mlp", "hidden": []},
        "optimizer": {"name": "adam", "learning_rate": 0.05},
        "registry": {"variant": "int8"},
    }
    outcome = await finished(build_spec(sections))
    (tmp_path / "package").mkdir()
    manifest = home.registry.fetch(MODEL, outcome.version, tmp_path / "package").manifest
    assert manifest.variant == "fp32"
    assert manifest.variant_check is not None
    assert manifest.variant_check.asked == "int8"
    assert manifest.variant_check.value < manifest.variant_check.fp32_value - 0.1
    assert outcome.validation.metrics["accuracy"] == manifest.variant_check.fp32_value
    run = home.client.get_run(outcome.run_id)
    assert run.data.tags[VARIANT_TAG] == "fp32"
    assert run.data.tags[VARIANT_REASON_TAG].startswith("fp32 is served, int8 loses too much: validation accuracy is ")
    assert run.data.tags[VARIANT_REASON_TAG] in caplog.messages
    assert [each.variant for each in home.registry.versions(MODEL)] == ["fp32"]


async def test_a_recurrent_regressor_has_an_int8_variant(cluster: None, home: Home, tmp_path: Path) -> None:
    sections = {
        "name": MODEL,
        "data": {"source": "synthetic", "rows": 200, "features": 12, "shape": [4, 3]},
        "model": {"family": "rnn", "cell": "lstm", "hidden_size": 16},
        "loss": {"name": "mse"},
        "training": {"epochs": 2},
        "registry": {"variant": "int8", "variant_tolerance": 0.1},
    }
    outcome = await finished(build_spec(sections))
    manifest = home.registry.fetch(MODEL, outcome.version, tmp_path).manifest
    assert manifest.variant_check is not None
    assert (manifest.variant, manifest.variant_check.metric) == ("int8", "r2")
    async with serving(home.registry) as it:
        answer = await it.stub.ModelInfer(raw_request(MODEL, np.zeros((2, 9, 3), np.float32)))
    assert np.isfinite(np.frombuffer(answer.raw_output_contents[0], np.float32)).all()
