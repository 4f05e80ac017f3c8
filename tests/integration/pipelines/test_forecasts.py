"""A series in, forecasts out: in the target's own units, served as torch computes them, better than the last season."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from typer.testing import CliRunner

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from services.cli.main import app
from services.prediction.client import PredictionClient
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.prediction.serving import serving

WINDOW, HORIZON = 16, 4


def tides(steps: int = 600) -> pd.DataFrame:
    """A tide of twelve hours with noise around 300 cm, and the wind that raises it two hours later."""
    random = np.random.default_rng(0)
    at = np.arange(steps)
    wind = np.convolve(random.normal(0, 20, steps + 8), np.ones(8) / 8, "valid")[:steps]
    tide = 300 + 80 * np.sin(at * 2 * np.pi / 12) + 4 * np.roll(wind, 2) + random.normal(0, 5, steps)
    hours = pd.date_range("2024-01-01", periods=steps, freq="h").strftime("%Y-%m-%dT%H:%M")
    return pd.DataFrame({"hour": hours, "wind": wind, "tide": tide})


def tide_job(folder: Path) -> TrainingSpec:
    tides().to_csv(folder / "tides.csv", index=False)
    return small(
        data={
            "source": "series",
            "path": str(folder / "tides.csv"),
            "time": "hour",
            "targets": ["tide"],
            "window": WINDOW,
            "horizon": HORIZON,
            "season": 12,
        },
        model={"family": "rnn", "cell": "gru", "hidden_size": 16},
        loss={"name": "mse"},
        regularization={},
        training={"epochs": 15},
    )


async def test_forecasts_are_served_as_torch_computes_them(cluster: None, home: Home, tmp_path: Path) -> None:
    spec = tide_job(tmp_path)
    outcome = await asyncio.to_thread(run_pipeline, spec, Recorder())
    assert outcome.test.metrics["skill"] > 0.1, outcome.test.metrics
    (run,) = home.runs()
    assert {"test_naive_mae", "test_skill", "test_mae"} <= set(run.data.metrics)

    dataset = load_dataset(spec)
    folder = Path(home.client.get_model_version_download_uri(spec.name, outcome.version).removeprefix("file://"))
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(folder / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    expected = predict(build_predictor(network, dataset), dataset.test.features)["prediction"]
    assert expected.shape == (len(dataset.test), HORIZON, 1)
    assert np.abs(expected - dataset.test.targets).mean() < 40, "in cm"

    tides().tail(WINDOW - 4).to_csv(tmp_path / "few.csv", index=False)
    async with serving(home.registry) as it:
        windows, frame = await asyncio.to_thread(ask, it.server.port, dataset.test.features)
        arguments = ["predict", MODEL, str(tmp_path / "few.csv"), "--address", f"127.0.0.1:{it.server.port}"]
        few = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    told = f"warning: ROWS: {MODEL!r} was trained on {WINDOW} steps a row, came {WINDOW - 4}: it may be further off\n"
    assert (few.exit_code, few.stderr) == (0, told)
    np.testing.assert_allclose(windows, expected, atol=1e-2)
    np.testing.assert_allclose(frame, expected[:1], atol=1e-2)


def ask(port: int, windows: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Forecasts for all windows, and for the first as a DataFrame with its columns in another order."""
    with PredictionClient(f"127.0.0.1:{port}") as client:
        metadata = client.metadata(MODEL)
        assert metadata.feature_names == ("tide", "wind")
        assert metadata.outputs[0].shape == (-1, HORIZON, 1)
        assert metadata.trained_steps == {"features": WINDOW}
        frame = pd.DataFrame(windows[0], columns=["tide", "wind"])[["wind", "tide"]]
        return client.predict(MODEL, windows).outputs["prediction"], client.predict(MODEL, frame).outputs["prediction"]
