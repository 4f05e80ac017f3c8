"""Pictures are written, and hold what they should."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.plots import draw_plots
from tests.unit.pipelines.evaluation.outcomes import LABELS, reports

CLASSES = Evaluation({"accuracy": 0.75, "loss": 0.5}, np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
QUANTITIES = Evaluation({"r2": 0.9, "mae": 1.0, "rmse": 1.0}, np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 2.5]))


def is_drawn(path: Path) -> bool:
    """Whether a PNG is more than a blank page."""
    pixels = imread(path)
    return path.read_bytes().startswith(b"\x89PNG") and min(pixels.shape[:2]) > 200 and float(np.ptp(pixels)) > 0.5


def test_a_classifier_gets_curves_and_a_confusion_matrix(tmp_path: Path) -> None:
    paths = draw_plots(tmp_path, reports([3.0, 1.0, 2.0], penalty=0.1), CLASSES, LABELS, "animal")
    assert paths == [tmp_path / "loss.png", tmp_path / "confusion_matrix.png"]
    assert all(map(is_drawn, paths))


def test_a_regressor_gets_curves_and_predicted_against_actual(tmp_path: Path) -> None:
    paths = draw_plots(tmp_path, reports([3.0, 1.0]), QUANTITIES, (), "price")
    assert paths == [tmp_path / "loss.png", tmp_path / "predicted_vs_actual.png"]
    assert all(map(is_drawn, paths))


@pytest.mark.parametrize("labels", [("no", "yes"), tuple(map(str, range(31))), (r"$\nope$", "a_b^c")])
def test_few_many_and_odd_labels(labels: tuple[str, ...], tmp_path: Path) -> None:
    test = Evaluation({"accuracy": 1.0}, np.array([0, 1]), np.array([0, 1]))
    assert all(map(is_drawn, draw_plots(tmp_path, reports([1.0]), test, labels, "kind")))


def test_a_single_epoch_and_a_perfect_fit(tmp_path: Path) -> None:
    exact = Evaluation({"r2": 0.0}, np.array([2.0, 2.0]), np.array([2.0, 2.0]))
    assert all(map(is_drawn, draw_plots(tmp_path, reports([0.0]), exact, (), "price")))


def test_the_penalty_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    for name, penalty in (("without", 0.0), ("with", 0.5)):
        (tmp_path / name).mkdir()
        draw_plots(tmp_path / name, reports([3.0, 2.0], penalty), CLASSES, LABELS, "animal")
    assert (tmp_path / "with/loss.png").read_bytes() != (tmp_path / "without/loss.png").read_bytes()
