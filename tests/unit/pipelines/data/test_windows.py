"""Windows relative to their last step, and without gaps."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.dataset import Rows
from pipelines.data.windows import carried_forward, levelled
from tests.unit.pipelines.data.test_series import load, refusal, weather

NAN = np.nan


def test_targets_are_told_relative_to_the_last_step() -> None:
    past = np.array([[[1, 50], [3, 60], [4, 70]]], np.float32)
    future = np.array([[[6], [9]]], np.float32)
    rows = levelled(Rows(past, future), 1)
    assert rows.features.tolist() == [[[-3, 50], [-1, 60], [0, 70]]]
    assert rows.targets.tolist() == [[[2], [5]]]
    assert past[0, 0, 0] == 1, "the rows themselves stay raw"
    assert levelled(Rows(past, future), 0).features is past


def test_the_last_value_is_carried_on() -> None:
    values = np.array([[1, 2], [NAN, 3], [NAN, NAN], [4, NAN]], np.float32)
    assert carried_forward(values, ("a", "b")).tolist() == [[1, 2], [1, 3], [1, 3], [4, 3]]


def test_scales_are_those_of_what_the_network_sees(tmp_path: Path) -> None:
    dataset = load(weather(), tmp_path, relative=True)  # rises by 1 a step
    assert dataset.num_relative == 1
    assert dataset.features.mean[0] == pytest.approx(-1.5)  # of -3, -2, -1, 0
    assert dataset.features.mean[2] == pytest.approx(dataset.train.features[..., 2].mean())
    assert dataset.target.mean == pytest.approx(1.5)
    assert dataset.train.features[0, :, 0].tolist() == [1000, 1001, 1002, 1003], "raw, as a client sends it"


def test_nothing_comes_from_the_future_and_nothing_made_up_is_forecast(tmp_path: Path) -> None:
    frame = weather()
    frame.loc[[10, 11, 45], "rain"] = NAN  # the target
    frame.loc[36, "sun"] = NAN  # the first step of the validation part
    dataset = load(frame, tmp_path, missing="forward")
    assert dataset.carries
    for part in (dataset.train, dataset.validation, dataset.test):
        assert not np.isnan(part.features).any()
        at = part.features[:, -1, 1] - 2000  # wind tells the step
        np.testing.assert_array_equal(part.targets[:, 0, 0], at + 1001)
        np.testing.assert_array_equal(part.targets[:, 1, 0], at + 1002)
    assert len(dataset.train) == 31 - 3
    assert len(dataset.validation) == 7 - 2
    seven = dataset.train.features[dataset.train.features[:, -1, 1] == 2012][0]
    assert seven[:, 0].tolist() == [1009, 1009, 1009, 1012]
    assert dataset.validation.features[0, 0, 2] == 35, "the step before the cut is past as well"


def test_a_gap_makes_other_data_than_its_filling(tmp_path: Path) -> None:
    gap, filled = weather(), weather()
    gap.loc[10, "rain"] = NAN
    filled.loc[10, "rain"] = 1009.0
    assert load(gap, tmp_path, missing="forward").digest != load(filled, tmp_path, missing="forward").digest


def test_what_cannot_be_carried_forward(tmp_path: Path) -> None:
    first = weather()
    first.loc[0, "wind"] = NAN
    assert refusal(first, tmp_path, missing="forward") == (
        "data.missing: expected a value of column 'wind' in the first step, to carry forward, came none"
    )
    never = weather()
    never.loc[48:59:2, "rain"] = NAN
    assert refusal(never, tmp_path, missing="forward") == (
        "data.missing: expected 2 steps with all targets after a window of the test part, came none"
    )
