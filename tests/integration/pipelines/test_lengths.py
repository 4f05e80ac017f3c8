"""Series of different lengths: trained, registered, and asked with garbage behind their ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import mlflow.onnx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from services.cli.rows import read_inputs
from services.prediction.client import PredictionClient
from services.prediction.client.errors import RefusedError
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.prediction.serving import Serving, serving

Answers = dict[str, NDArray[Any]]

ASKED = [3, 1, 13, 9, 2]
"""Steps that count of the rows that are asked about; training has at most 8."""


def series_job(folder: Path) -> TrainingSpec:
    """Whether the last step that counts is above the first: the end of the array tells nothing."""
    random = np.random.default_rng(0)
    features = random.normal(20, 3, (400, 8, 2)).astype(np.float32)
    lengths = random.integers(2, 9, 400)
    last = features[np.arange(400), lengths - 1, 0]
    target = np.where(last > features[:, 0, 0], "up", "down")
    features[np.arange(8) >= lengths[:, None]] = np.nan
    np.savez(folder / "series.npz", features=features, lengths=lengths, target=target)
    return small(
        data={"source": "npz", "path": str(folder / "series.npz"), "lengths": "lengths"},
        model={"family": "rnn", "cell": "lstm", "hidden_size": 16, "bidirectional": True},
        regularization={},
        training={"epochs": 25},
    )


def asked(garbage: float) -> dict[str, NDArray[Any]]:
    rows = np.random.default_rng(1).normal(20, 3, (len(ASKED), 15, 2)).astype(np.float32)
    rows[np.arange(15) >= np.array(ASKED)[:, None]] = garbage
    return {"features": rows, "lengths": np.array(ASKED)}


def in_torch(home: Home, spec: TrainingSpec, version: str) -> Answers:
    """What torch answers to each series alone, from the registered weights: nothing is filled up."""
    dataset = load_dataset(spec)
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(version_folder(home, version) / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    predictor, rows = build_predictor(network, dataset), asked(0.0)["features"]
    alone = [predict(predictor, row[None, :length]) for row, length in zip(rows, ASKED, strict=True)]
    return {name: np.concatenate([each[name] for each in alone]) for name in alone[0]}


def version_folder(home: Home, version: str) -> Path:
    return Path(home.client.get_model_version_download_uri(MODEL, version).removeprefix("file://"))


async def test_series_get_torchs_answers_whatever_follows_their_ends(cluster: None, home: Home, tmp_path: Path) -> None:
    spec = series_job(tmp_path)
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    assert outcome.test.metrics["accuracy"] > 0.85, outcome.test.metrics
    expected = in_torch(home, spec, outcome.version)
    async with serving(home.registry) as it:
        answers = await asyncio.to_thread(ask, it.server.port, tmp_path)
        await check_refusals(it)
    for came in (*answers, of_pyfunc(version_folder(home, outcome.version))):
        np.testing.assert_allclose(came["probabilities"], expected["probabilities"], atol=1e-5)
        np.testing.assert_array_equal(came["class_index"], expected["class_index"])


def ask(port: int, folder: Path) -> list[Answers]:
    """The client's answers to series with garbage behind their ends, and to those that `predict` reads from a file."""
    rows = [row[:length].tolist() for row, length in zip(asked(0.0)["features"], ASKED, strict=True)]
    (folder / "rows.json").write_text(json.dumps(rows))
    with PredictionClient(f"127.0.0.1:{port}") as client:
        model = client.metadata(MODEL)
        assert [(each.name, each.datatype, each.shape) for each in model.inputs] == [
            ("features", "FP32", (-1, -1, 2)),
            ("lengths", "INT64", (-1,)),
        ]
        with pytest.raises(RefusedError, match="lengths"):
            client.predict(MODEL, asked(0.0) | {"lengths": np.array(ASKED) + 3})
        given = [asked(0.0), asked(1e6), asked(float("nan")), read_inputs(str(folder / "rows.json"), model)]
        return [client.predict(MODEL, each).outputs for each in given]


async def check_refusals(it: Serving) -> None:
    """A number of steps that cannot be is refused, also under a header that was seen before."""
    for number, refused in ((3, False), (0, True), (3, False), (4, True), (-1, True), (3, False)):
        request = pb.ModelInferRequest(model_name=MODEL)
        request.inputs.add(name="features", datatype="FP32", shape=(1, 3, 2))
        request.inputs.add(name="lengths", datatype="INT64", shape=(1,))
        contents = (np.zeros((1, 3, 2), np.float32), np.array([number]))
        request.raw_input_contents.extend(each.tobytes() for each in contents)
        if not refused:
            assert len((await it.stub.ModelInfer(request)).outputs) == 2
            continue
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await it.stub.ModelInfer(request)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        expected = "inputs[lengths]: expected from 1 to 3 steps, as features has them"
        assert caught.value.details() == f"{expected}, came {number}"


def of_pyfunc(folder: Path) -> Answers:
    """What MLflow's own loader answers, by the logged signature."""
    model = mlflow.pyfunc.load_model(str(folder))
    assert [each.name for each in model.metadata.get_input_schema()] == ["features", "lengths"]
    return dict(model.predict(asked(1e6)))
