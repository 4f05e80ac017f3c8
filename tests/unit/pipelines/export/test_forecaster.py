"""The graph levels and fills raw windows as training did, and a trend is forecast as far as it goes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.export.graph import Forecaster, Predictor, build_predictor, export_onnx, predict
from pipelines.models.network import network_of
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.team import Solo
from pipelines.training.worker import Trained, make_job, train

MODELS: list[dict[str, Any]] = [
    {"family": "rnn", "cell": "gru", "hidden_size": 12},
    {"family": "cnn", "channels": [8], "global_pooling": "average", "hidden": [8]},
    {"family": "mlp", "hidden": [16]},
]


def rising(steps: int = 400) -> pd.DataFrame:
    """It rises for ever, with a season of eight steps and noise; the temperature does not."""
    random = np.random.default_rng(0)
    at = np.arange(steps)
    sales = 100 + 0.5 * at + 5 * np.sin(at * 2 * np.pi / 8) + random.normal(0, 0.5, steps)
    return pd.DataFrame({"time": at, "sales": sales, "temperature": 20 + random.normal(0, 3, steps)})


def spec_of(folder: Path, model: dict[str, Any], epochs: int = 1, **options: object) -> TrainingSpec:
    rising().to_csv(folder / "sales.csv", index=False)
    source = {"source": "series", "path": str(folder / "sales.csv"), "targets": ["sales"], "window": 12, "horizon": 3}
    return build_spec(
        {
            "data": source | options,
            "model": model,
            "loss": {"name": "mse"},
            "optimizer": {"name": "adam", "learning_rate": 0.01},
            "training": {"epochs": epochs, "batch_size": 16},
        }
    )


def trained(spec: TrainingSpec) -> tuple[Dataset, Predictor]:
    dataset = load_dataset(spec)
    *_, last = train(make_job(spec, dataset), Solo(), torch.device("cpu"))
    assert isinstance(last, Trained)
    network = network_of(spec, dataset.row_shape, dataset.num_outputs, None)
    network.load_state_dict({name: torch.from_numpy(weight.copy()) for name, weight in last.weights.items()})
    return dataset, build_predictor(network, dataset)


def in_onnxruntime(dataset: Dataset, predictor: Predictor, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    graph = export_onnx(predictor, dataset.row_shape).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    answer: NDArray[np.float32] = session.run(["prediction"], {"features": windows})[0]
    return answer


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model["family"]))
def test_the_graph_takes_raw_windows_with_gaps(model: dict[str, Any], tmp_path: Path) -> None:
    dataset, predictor = trained(spec_of(tmp_path, model, relative=True, missing="forward"))
    assert isinstance(predictor, Forecaster)
    windows = dataset.test.features[:5]
    expected = predict(predictor, windows)["prediction"]
    gaps, filled = windows.copy(), windows.copy()
    gaps[:, 2:4, 0], gaps[1:, 1:, 1], gaps[0, -1, 0] = np.nan, np.nan, np.nan
    filled[:, 2:4, 0], filled[1:, 1:, 1], filled[0, -1, 0] = windows[:, 1:2, 0], windows[1:, :1, 1], windows[0, -2, 0]
    of_filled = predict(predictor, filled)["prediction"]
    assert not np.allclose(of_filled, expected, atol=1e-3)
    np.testing.assert_allclose(predict(predictor, gaps)["prediction"], of_filled, rtol=1e-6)
    np.testing.assert_allclose(in_onnxruntime(dataset, predictor, gaps), of_filled, rtol=1e-5)
    np.testing.assert_allclose(in_onnxruntime(dataset, predictor, windows), expected, rtol=1e-5)
    lifted = windows + np.array([1000, 0], np.float32)
    np.testing.assert_allclose(predict(predictor, lifted)["prediction"], expected + 1000, rtol=1e-5)


def test_windows_of_another_length_are_levelled_too(tmp_path: Path) -> None:
    dataset, predictor = trained(spec_of(tmp_path, MODELS[0], relative=True))
    for steps in (1, 5, 30):
        windows = np.random.default_rng(steps).normal(300, 5, (4, steps, 2)).astype(np.float32)
        expected = predict(predictor, windows)["prediction"]
        np.testing.assert_allclose(in_onnxruntime(dataset, predictor, windows), expected, rtol=1e-5)


def test_a_trend_is_forecast_beyond_what_training_has_seen(tmp_path: Path) -> None:
    errors = {}
    for relative in (False, True):
        dataset, predictor = trained(spec_of(tmp_path, MODELS[0], epochs=30, relative=relative))
        forecast = predict(predictor, dataset.test.features)["prediction"]
        errors[relative] = float(np.abs(forecast - dataset.test.targets).mean())
    assert dataset.test.features[..., 0].min() > dataset.train.features[..., 0].max()
    assert errors[True] < 1.5, errors
    assert errors[False] > 10 * errors[True], errors
