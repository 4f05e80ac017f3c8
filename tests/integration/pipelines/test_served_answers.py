"""One trained model, asked five ways: torch, an unmodified tritonclient (sync and asyncio), a plain stub, pyfunc."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.registry.package import SPEC_FILE, WEIGHTS_FILE
from pipelines.spec_file import load_spec
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.pipelines.jobs import Home, Recorder
from tests.integration.prediction.serving import serving

NUM_ROWS = 50
Answers = dict[str, NDArray[np.generic]]

TRITONCLIENT = """
import asyncio, sys
import numpy as np
import tritonclient.grpc as sync
import tritonclient.grpc.aio as aio

url, model, path = sys.argv[1:]
rows = np.load(path)

def inputs(module, name):
    features = module.InferInput(name, list(rows.shape), "FP32")
    features.set_data_from_numpy(rows)
    return [features]

def answers(result, side):
    return {f"{side}/{name}": result.as_numpy(name) for name in ("probabilities", "class_index")}

with sync.InferenceServerClient(url) as client:
    metadata = client.get_model_metadata(model)
    assert metadata.inputs[0].datatype == "FP32", metadata
    assert len(metadata.inputs[0].shape) == rows.ndim, metadata
    found = answers(client.infer(model, inputs(sync, metadata.inputs[0].name)), "sync")

async def ask():
    async with aio.InferenceServerClient(url) as client:
        metadata = await client.get_model_metadata(model)
        return answers(await client.infer(model, inputs(aio, metadata.inputs[0].name)), "aio")

np.savez(path + ".answers.npz", **found, **asyncio.run(ask()))
"""

PYFUNC = """
import sys
import mlflow
import numpy as np

uri, model, path = sys.argv[1:]
mlflow.set_tracking_uri(uri)
predicted = mlflow.pyfunc.load_model(f"models:/{model}@champion").predict(np.load(path))
np.savez(path + ".pyfunc.npz", **predicted)
"""


@pytest.mark.parametrize("recipe", ["digits-mlp", "digits-cnn", "digits-rnn"])
async def test_every_client_gets_what_torch_computes(recipe: str, cluster: None, home: Home, tmp_path: Path) -> None:
    spec = load_spec(recipe, ["training.epochs=2"])
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    rows = load_dataset(spec).test.features[:NUM_ROWS]
    np.save(tmp_path / "rows.npy", rows)
    expected = answers_of_torch(home, spec.name, outcome.version, rows)
    async with serving(home.registry) as it:
        await run(TRITONCLIENT, f"127.0.0.1:{it.server.port}", spec.name, str(tmp_path / "rows.npy"))
        typed = pb.ModelInferRequest(model_name=spec.name)
        tensor = typed.inputs.add(name="features", datatype="FP32", shape=rows.shape)
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
        response = await it.stub.ModelInfer(typed)
    await run(PYFUNC, f"sqlite:///{home.directory / 'mlflow.db'}", spec.name, str(tmp_path / "rows.npy"))

    probabilities, classes = response.outputs
    assert response.model_version == outcome.version
    assert_same(
        expected,
        {
            "probabilities": np.array(probabilities.contents.fp32_contents).reshape(probabilities.shape),
            "class_index": np.array(classes.contents.int64_contents),
        },
    )
    with np.load(tmp_path / "rows.npy.answers.npz") as answers:
        for client in ("sync", "aio"):
            assert_same(expected, {name: answers[f"{client}/{name}"] for name in expected})
    with np.load(tmp_path / "rows.npy.pyfunc.npz") as answers:
        assert_same(expected, {name: answers[name] for name in expected})


def answers_of_torch(home: Home, model: str, version: str, rows: NDArray[np.float32]) -> Answers:
    """What torch computes from the registered weights and spec alone."""
    folder = Path(home.client.get_model_version_download_uri(model, version).removeprefix("file://"))
    spec = load_spec(str(folder / SPEC_FILE))
    dataset = load_dataset(spec)
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(folder / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return predict(build_predictor(network, dataset), rows)


def assert_same(expected: Answers, came: Answers) -> None:
    """Equal to 1e-5, and equal classes."""
    probabilities = came["probabilities"].astype(np.float64)
    np.testing.assert_allclose(probabilities, expected["probabilities"].astype(np.float64), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(came["class_index"], expected["class_index"])


async def run(script: str, *arguments: str) -> None:
    """Run a script in a process of its own: another client's messages cannot share ours."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
