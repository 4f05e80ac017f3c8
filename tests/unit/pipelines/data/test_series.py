"""Windows of a series: in the order of time, on one side of every cut, the targets first."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import DataError
from pipelines.spec_file import build_spec

STEPS = 60


def weather(steps: int = STEPS) -> pd.DataFrame:
    """Each value tells its step: sun is the step, rain 1000 more, wind 2000 more."""
    at = np.arange(steps, dtype=np.float64)
    return pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=steps).strftime("%Y-%m-%d"),
            "wind": at + 2000,
            "rain": at + 1000,
            "sun": at,
        }
    )


def data(path: Path, **options: object) -> dict[str, Any]:
    return {
        "source": "series",
        "path": str(path),
        "time": "day",
        "targets": ["rain"],
        "window": 4,
        "horizon": 2,
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
    } | options


def load(frame: pd.DataFrame, folder: Path, **options: object) -> Dataset:
    frame.to_csv(folder / "weather.csv", index=False)
    return load_dataset(build_spec({"data": data(folder / "weather.csv", **options), "loss": {"name": "mse"}}))


def refusal(frame: pd.DataFrame, folder: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(frame, folder, **options)
    return str(caught.value)


def test_a_window_is_followed_by_what_is_to_be_told(tmp_path: Path) -> None:
    dataset = load(weather(), tmp_path)
    assert dataset.train.features.shape == (36 - 5, 4, 3)
    assert dataset.feature_names == ("rain", "wind", "sun")
    assert dataset.train.features[3].tolist() == [[1000 + at, 2000 + at, at] for at in (3, 4, 5, 6)]
    assert dataset.train.targets[3].tolist() == [[1007], [1008]]
    assert (dataset.row_shape, dataset.num_outputs, dataset.target_name) == ((4, 3), (2, 1), "rain")


def test_no_window_reaches_over_a_cut(tmp_path: Path) -> None:
    dataset = load(weather(), tmp_path)
    spans = {"train": (0, 36), "validation": (36, 48), "test": (48, 60)}
    for name, (first, end) in spans.items():
        part = getattr(dataset, name)
        steps = {*part.features[..., 2].ravel().tolist(), *(part.targets.ravel() - 1000).tolist()}
        assert steps == set(range(first, end)), name


def test_several_targets_are_scaled_apart(tmp_path: Path) -> None:
    frame = weather().assign(sun=lambda each: each["sun"] * 100)
    dataset = load(frame, tmp_path, targets=["sun", "rain"], features=[])
    assert dataset.feature_names == ("sun", "rain")
    assert dataset.num_outputs == (2, 2)
    assert dataset.target.deviation[0] == pytest.approx(100 * dataset.target.deviation[1], rel=1e-4)
    scaled = dataset.target.apply(dataset.train.targets.astype(np.float32))
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, atol=1e-4)


@pytest.mark.parametrize("kind", ["dates", "numbers", "months", "times"])
def test_rows_are_put_in_the_order_of_time(kind: str, tmp_path: Path) -> None:
    times: dict[str, Any] = {
        "dates": pd.date_range("2023-12-30", periods=STEPS).strftime("%Y-%m-%d"),
        "numbers": np.arange(STEPS) * 0.5,
        "months": pd.date_range("2020-01-01", periods=STEPS, freq="MS").strftime("%Y-%m"),
        "times": pd.date_range("2024-01-01", periods=STEPS, freq="15min").strftime("%Y-%m-%dT%H:%M"),
    }
    frame = weather().assign(day=times[kind])
    shuffled = load(frame.sample(frac=1, random_state=1), tmp_path)
    assert shuffled.digest == load(frame, tmp_path).digest
    assert shuffled.train.features[0, :, 2].tolist() == [0, 1, 2, 3]


def test_parquet_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    weather().assign(day=pd.date_range("2024-01-01", periods=STEPS)).to_parquet(tmp_path / "rows")
    dataset = load_dataset(build_spec({"data": data(tmp_path / "rows"), "loss": {"name": "mse"}}))
    assert dataset.digest == load(weather(), tmp_path).digest


def test_the_digest_follows_values_and_windows(tmp_path: Path) -> None:
    digests = {
        load(weather(), tmp_path).digest,
        load(weather(), tmp_path, window=5).digest,
        load(weather(), tmp_path, targets=["rain", "sun"]).digest,
        load(weather(59), tmp_path).digest,
    }
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            weather(),
            {"window": 11},
            "data.window: expected with data.horizon at most 12, the steps of the validation part, came 11 + 2",
        ),
        (
            weather().drop(index=20),
            {},
            "data.time: expected equal steps, or data.irregular: true, came 2024-01-22 00:00:00 after 2024-01-20 0",
        ),
        (
            weather().assign(day=[*range(30), *range(31, 61)]),
            {},
            "data.time: expected equal steps, or data.irregular: true, came 31 after 29",
        ),
        (
            weather().assign(day=[*range(30), *range(29, 59)]),
            {},
            "data.time: expected each time once in column 'day', came 29 twice",
        ),
        (
            weather().assign(day="someday"),
            {},
            "data.time: expected numbers, or dates such as 2024-12-31 or 2024-12-31T23:59, in column 'day', came ",
        ),
        (
            weather().assign(day=lambda each: each["day"].where(each.index != 7)),
            {},
            "data.time: expected a time in every row of column 'day', came none in row 8",
        ),
        (
            weather().assign(wind=np.nan),
            {},
            "data.path: expected a value in every row of column 'wind', or data.missing: forward, "
            "came a missing value (NaN) in row 1 and in 59",
        ),
        (
            weather(),
            {"time": "hour"},
            "data.time: expected one of the columns 'day', 'wind', 'rain', 'sun', came 'hour'",
        ),
        (weather(), {"targets": ["snow"]}, "data.targets: expected one of the columns 'day', 'wind', 'rain', 'sun', "),
        (weather(), {"features": ["snow"]}, "data.features: expected columns among 'day', 'wind', 'rain', 'sun', came"),
    ],
)
def test_what_is_no_series(frame: pd.DataFrame, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert refusal(frame, tmp_path, **options).startswith(message)


def test_days_of_trade_may_be_irregular(tmp_path: Path) -> None:
    frame = weather().drop(index=[20, 21, 33])
    assert load(frame, tmp_path, irregular=True).train.features.shape[0] == round(57 * 0.6) - 5


def test_a_series_is_no_class(tmp_path: Path) -> None:
    weather().to_csv(tmp_path / "weather.csv", index=False)
    with pytest.raises(DataError) as caught:
        load_dataset(build_spec({"data": data(tmp_path / "weather.csv")}))
    assert str(caught.value) == (
        "loss.name: expected a loss for quantities, such as mse, for a series, came 'cross_entropy'"
    )
