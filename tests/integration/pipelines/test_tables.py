"""A table with categories and gaps: trained, registered, and asked with raw values by clients of every kind."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.records import IMBALANCE_TAG
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from services.prediction.client import PredictionClient
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.test_served_answers import run
from tests.integration.prediction.serving import serving
from tests.unit.pipelines.data.frames import birds, birds_spec

Answers = dict[str, NDArray[Any]]

PYFUNC = """
import sys
import mlflow
import numpy as np
import pandas as pd

uri, model, path = sys.argv[1:]
mlflow.set_tracking_uri(uri)
rows = pd.read_csv(path, dtype=str, na_filter=False)
rows["weight"] = pd.to_numeric(rows["weight"]).astype(np.float32)
columns = {name: rows[name].to_numpy(object if name != "weight" else np.float32)[:, None] for name in rows}
np.savez(path + ".npz", **mlflow.pyfunc.load_model(f"models:/{model}@champion").predict(columns))
"""

UNHEARD_OF = pd.DataFrame(
    {"weight": [4100.0, None], "island": ["Atlantis", "Dream"], "ring": ["101", "7"], "sex": [None, "female"]}
)
"""Rows with categories that training never saw."""


def bird_job(folder: Path, **sections: object) -> TrainingSpec:
    birds(300).to_csv(folder / "birds.csv", index=False)
    return small(data=birds_spec(folder / "birds.csv"), **sections)


def weights_in_torch(home: Home, spec: TrainingSpec, version: str, rows: pd.DataFrame) -> Answers:
    """What torch answers to raw rows, from the registered weights."""
    dataset = load_dataset(spec)
    folder = Path(home.client.get_model_version_download_uri(spec.name, version).removeprefix("file://"))
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(folder / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return predict(build_predictor(network, dataset), dataset.encoding.apply(raw(rows, dataset)))


def raw(rows: pd.DataFrame, dataset: Dataset) -> dict[str, NDArray[Any]]:
    texts = {name: rows[name].fillna("").astype(str).to_numpy(object)[:, None] for name in ("island", "ring", "sex")}
    numbers = rows["weight"].to_numpy(np.float32)[:, None]
    return {name: texts.get(name, numbers) for name in dataset.feature_names}


async def test_raw_values_in_torchs_answers_out(cluster: None, home: Home, tmp_path: Path) -> None:
    spec = bird_job(tmp_path)
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    rows = pd.concat([birds(40, seed=1).drop(columns="kind").astype({"ring": str}), UNHEARD_OF], ignore_index=True)
    expected = weights_in_torch(home, spec, outcome.version, rows)
    assert outcome.test.metrics["accuracy"] > 0.8

    async with serving(home.registry) as it:
        answers = await asyncio.to_thread(ask, it.server.port, rows)
        for came in answers:
            np.testing.assert_allclose(came["probabilities"], expected["probabilities"], atol=1e-5)
            np.testing.assert_array_equal(came["class_index"], expected["class_index"])
        typed = await it.stub.ModelInfer(typed_request(rows))
    probabilities = np.array(typed.outputs[0].contents.fp32_contents).reshape(typed.outputs[0].shape)
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-5)

    rows.to_csv(tmp_path / "rows.csv", index=False)
    await run(PYFUNC, f"sqlite:///{home.directory / 'mlflow.db'}", MODEL, str(tmp_path / "rows.csv"))
    with np.load(tmp_path / "rows.csv.npz") as came:
        np.testing.assert_allclose(came["probabilities"], expected["probabilities"], atol=1e-5)


def ask(port: int, rows: pd.DataFrame) -> list[Answers]:
    """The client's answers to a DataFrame, to a dict of columns and to one row after the other."""
    with PredictionClient(f"127.0.0.1:{port}") as client:
        metadata = client.metadata(MODEL)
        assert metadata.by_column
        assert [tensor.datatype for tensor in metadata.inputs] == ["FP32", "BYTES", "BYTES", "BYTES"]
        singly = [client.predict(MODEL, rows.iloc[[row]]).outputs for row in range(len(rows))]
        together = {name: np.concatenate([each[name] for each in singly]) for name in singly[0]}
        columns = {str(name): rows[name].tolist() for name in rows}
        return [client.predict(MODEL, rows).outputs, client.predict(MODEL, columns).outputs, together]


def typed_request(rows: pd.DataFrame) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=MODEL)
    for name in ("sex", "weight", "island", "ring"):
        if name == "weight":
            tensor = request.inputs.add(name=name, datatype="FP32", shape=[len(rows), 1])
            tensor.contents.fp32_contents.extend(rows[name].astype(np.float32))
        else:
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[len(rows), 1])
            tensor.contents.bytes_contents.extend(text.encode() for text in rows[name].fillna("").astype(str))
    return request


def test_a_smaller_variant_takes_columns_as_well(cluster: None, home: Home, tmp_path: Path) -> None:
    spec = bird_job(tmp_path, registry={"variant": "int8", "variant_tolerance": 1})
    outcome = run_pipeline(spec, Recorder())
    assert home.registry.champion(MODEL) is not None
    assert outcome.decision.promote


def test_the_run_tells_of_columns_and_classes(
    cluster: None, home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = birds(300)
    rare = frame[frame["kind"] == "Gentoo"][:8]
    pd.concat([frame[frame["kind"] == "Adelie"], rare]).to_csv(tmp_path / "birds.csv", index=False)
    with caplog.at_level(logging.WARNING):
        run_pipeline(small(data=birds_spec(tmp_path / "birds.csv")), Recorder())
    (found,) = home.runs()
    warning = found.data.tags[IMBALANCE_TAG]
    assert warning.startswith("classes are uneven: 6 training rows are 'Gentoo', ")
    assert warning in caplog.text
    inputs = home.client.get_run(found.info.run_id).inputs
    assert inputs is not None
    (given,) = inputs.dataset_inputs
    profile, schema = json.loads(str(given.dataset.profile)), json.loads(str(given.dataset.schema))
    assert set(profile["train_classes"]) == {"Adelie", "Gentoo"}
    assert sum(profile["train_classes"].values()) == profile["train_rows"]
    kinds = {column["name"]: column["type"] for column in schema["mlflow_colspec"]}
    assert kinds == {"weight": "float", "island": "string", "ring": "string", "sex": "string"}
