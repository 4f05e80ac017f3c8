"""Pictures are written, and hold what they should."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.plots import draw_plots
from tests.unit.pipelines.evaluation.outcomes import LABELS, probabilities, reports

CLASSES = Evaluation(
    {"accuracy": 0.75, "loss": 0.5, "f1_macro": 0.7, "roc_auc": 0.9},
    np.array([0, 1, 2, 2]),
    np.array([0, 1, 2, 1]),
    probabilities(4).astype(np.float64),
)
QUANTITIES = Evaluation({"r2": 0.9, "mae": 1.0, "rmse": 1.0}, np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 2.5]))


def is_drawn(path: Path) -> bool:
    """Whether a PNG is more than a blank page."""
    pixels = imread(path)
    return path.read_bytes().startswith(b"\x89PNG") and min(pixels.shape[:2]) > 200 and float(np.ptp(pixels)) > 0.5


def drawn(paths: list[Path]) -> list[str]:
    """The names of pictures, each of which is one."""
    assert all(map(is_drawn, paths))
    return [path.name for path in paths]


def test_a_classifier_gets_curves_confusions_bars_ranking_and_reliability(tmp_path: Path) -> None:
    paths = draw_plots(tmp_path, reports([3.0, 1.0, 2.0], penalty=0.1), CLASSES, LABELS, "animal")
    assert {path.parent for path in paths} == {tmp_path}
    assert drawn(paths) == ["loss.png", "confusion_matrix.png", "f1_by_class.png", "reliability.png", "roc.png"]


def test_two_classes_have_one_curve(tmp_path: Path) -> None:
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    test = Evaluation({"accuracy": 1.0, "roc_auc": 1.0}, np.array([0, 1, 1]), np.array([0, 1, 0]), answers)
    assert drawn(draw_plots(tmp_path, reports([1.0]), test, ("no", "yes"), "kind"))[-1] == "roc.png"


def test_a_part_that_cannot_be_ranked_has_no_curve(tmp_path: Path) -> None:
    test = Evaluation({"accuracy": 1.0}, np.array([1]), np.array([1]), np.array([[0.1, 0.9]]))
    assert drawn(draw_plots(tmp_path, reports([1.0]), test, ("no", "yes"), "kind"))[-1] == "reliability.png"


def test_a_regressor_gets_curves_predicted_against_actual_and_residuals(tmp_path: Path) -> None:
    paths = draw_plots(tmp_path, reports([3.0, 1.0]), QUANTITIES, (), "price")
    assert drawn(paths) == ["loss.png", "predicted_vs_actual.png", "residuals.png"]


@pytest.mark.parametrize("variables", [1, 2])
def test_a_forecaster_gets_its_errors_by_step(variables: int, tmp_path: Path) -> None:
    truth = np.random.default_rng(0).standard_normal((20, 5, variables))
    test = Evaluation({"r2": 0.5}, truth, truth * 0.9)
    names = drawn(draw_plots(tmp_path, reports([3.0, 1.0]), test, (), "load"))
    assert names == ["loss.png", "predicted_vs_actual.png", "residuals.png", "forecast_error_by_step.png"]


@pytest.mark.parametrize("labels", [("no", "yes"), tuple(map(str, range(31))), (r"$\nope$", "a_b^c")])
def test_few_many_and_odd_labels(labels: tuple[str, ...], tmp_path: Path) -> None:
    answers = np.eye(len(labels))[:2]
    test = Evaluation({"accuracy": 1.0, "roc_auc": 1.0, "f1_macro": 1.0}, np.array([0, 1]), np.array([0, 1]), answers)
    assert len(drawn(draw_plots(tmp_path, reports([1.0]), test, labels, "kind"))) == 5


def test_a_single_epoch_and_a_perfect_fit(tmp_path: Path) -> None:
    exact = Evaluation({"r2": 0.0}, np.array([2.0, 2.0]), np.array([2.0, 2.0]))
    assert drawn(draw_plots(tmp_path, reports([0.0]), exact, (), "price"))


def test_the_penalty_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    for name, penalty in (("without", 0.0), ("with", 0.5)):
        (tmp_path / name).mkdir()
        draw_plots(tmp_path / name, reports([3.0, 2.0], penalty), CLASSES, LABELS, "animal")
    assert (tmp_path / "with/loss.png").read_bytes() != (tmp_path / "without/loss.png").read_bytes()
