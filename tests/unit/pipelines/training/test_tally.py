"""Figures of an epoch, against scikit-learn's, whole and in shards."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor

from pipelines.spec.objective import Task
from pipelines.training.tally import measure, tally

GENERATOR = torch.Generator().manual_seed(0)
LOSSES = torch.rand(50, generator=GENERATOR)
SCORES = torch.randn(50, 4, generator=GENERATOR)
CLASSES = torch.randint(0, 4, (50,), generator=GENERATOR)
QUANTITIES = torch.randn(50, generator=GENERATOR) + 1
PREDICTED = (QUANTITIES + 0.3 * torch.randn(50, generator=GENERATOR))[:, None]

CASES: list[tuple[Task, Tensor, Tensor]] = [
    ("classification", SCORES, CLASSES),
    ("regression", PREDICTED, QUANTITIES),
]


def test_accuracy() -> None:
    measured = measure("classification", tally("classification", SCORES, CLASSES, LOSSES), 1.0)
    assert measured.metrics == {"accuracy": pytest.approx(accuracy_score(CLASSES, SCORES.argmax(dim=1)))}
    assert measured.loss == pytest.approx(LOSSES.mean().item())


@pytest.mark.parametrize("deviation", [1.0, 77.0])
def test_regression_in_the_targets_units(deviation: float) -> None:
    measured = measure("regression", tally("regression", PREDICTED, QUANTITIES, LOSSES), deviation)
    truth, predicted = QUANTITIES.numpy() * deviation + 5, PREDICTED[:, 0].numpy() * deviation + 5
    assert measured.metrics == {
        "mae": pytest.approx(mean_absolute_error(truth, predicted), rel=1e-5),
        "rmse": pytest.approx(root_mean_squared_error(truth, predicted), rel=1e-5),
        "r2": pytest.approx(r2_score(truth, predicted), rel=1e-5),
    }
    assert measured.loss == pytest.approx(LOSSES.mean().item())


@pytest.mark.parametrize(("task", "outputs", "targets"), CASES)
def test_shards_add_up_to_the_whole(task: Task, outputs: Tensor, targets: Tensor) -> None:
    whole = tally(task, outputs, targets, LOSSES)
    shards = [slice(0, 1), slice(1, 1), slice(1, 30), slice(30, 50)]
    parts = [tally(task, outputs[shard], targets[shard], LOSSES[shard]) for shard in shards]
    torch.testing.assert_close(torch.stack(parts).sum(dim=0), whole)
    assert whole.dtype == torch.float64
    assert whole[0] == 50


def test_sums_lose_no_small_term() -> None:
    # Summed in float32, what comes after 2**24 would be lost.
    losses = torch.tensor([2.0**24, 1.0, 1.0, 1.0])
    sums = tally("classification", torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64), losses)
    assert sums.tolist() == [4, 2**24 + 3, 4]


@pytest.mark.parametrize("value", [1.0, 0.1, -0.7, 1e-3])
@pytest.mark.parametrize("rows", [1, 37, 50, 1000])  # of some the sums leave a residue, of others none
def test_a_target_that_never_varies_has_no_r2(value: float, rows: int) -> None:
    constant = torch.full((rows,), value)
    measured = measure("regression", tally("regression", constant[:, None] + 1, constant, constant), 1.0)
    assert measured.metrics == {"mae": pytest.approx(1), "rmse": pytest.approx(1), "r2": 0.0}
    assert np.isfinite(measured.loss)


def test_a_target_that_hardly_varies_has_one() -> None:
    wanted = 1 + 1e-3 * QUANTITIES
    measured = measure("regression", tally("regression", wanted.mean() + 0 * wanted[:, None], wanted, LOSSES), 1.0)
    assert measured.metrics["r2"] == pytest.approx(0, abs=1e-3)


def test_a_forecast_is_measured_over_its_steps_and_variables() -> None:
    predicted, wanted = torch.randn(50, 3, 2, generator=GENERATOR), torch.randn(50, 3, 2, generator=GENERATOR) + 1
    measured = measure("regression", tally("regression", predicted, wanted, LOSSES), 2.0)
    assert measured.metrics == {
        "mae": pytest.approx(2 * mean_absolute_error(wanted.flatten(), predicted.flatten()), rel=1e-5),
        "rmse": pytest.approx(2 * root_mean_squared_error(wanted.flatten(), predicted.flatten()), rel=1e-5),
        "r2": pytest.approx(r2_score(wanted.flatten(), predicted.flatten()), rel=1e-5),
    }
