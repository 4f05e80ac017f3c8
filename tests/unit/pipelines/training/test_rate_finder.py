"""The learning-rate range test, where the right answer is known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.models.network import build_network
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.loop import Fitting, fit
from pipelines.training.objective import Objective
from pipelines.training.rate_finder import HIGHEST, LOWEST, RateCurve, find_rate
from pipelines.training.slabs import Part
from pipelines.training.team import Solo

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.standard_normal((400, 6)).astype(np.float32)
QUANTITIES = (FEATURES @ RANDOM.standard_normal(6)).astype(np.float32)
QUANTITIES /= QUANTITIES.std()
ROWS = Part(torch.from_numpy(FEATURES), torch.from_numpy(QUANTITIES))


def spec_of(name: str, hidden: list[int], **training: object) -> TrainingSpec:
    tree: dict[str, Any] = {
        "data": {"source": "synthetic"},
        "loss": {"name": "mse"},
        "model": {"family": "mlp", "hidden": hidden},
        "optimizer": {"name": name, "learning_rate": 1e-9},
        "training": {"epochs": 3} | training,
    }
    return build_spec(tree)


def network_of(spec: TrainingSpec) -> nn.Module:
    return build_network(spec.model, (6,), 1, spec.seed)


def searched(spec: TrainingSpec) -> RateCurve:
    return find_rate(network_of(spec), spec, Objective(spec.loss, spec.regularization), ROWS)


def suggested(spec: TrainingSpec) -> float:
    suggestion = searched(spec).suggestion
    assert suggestion is not None
    return suggestion


@pytest.mark.parametrize("name", ["sgd", "gd"])
def test_the_suggestion_for_a_quadratic_loss_is_below_where_it_diverges(name: str) -> None:
    # Gradient descent on a quadratic diverges above 2 / (largest eigenvalue of its Hessian, here 2·XᵀX/N).
    limit = 2 / (2 * np.linalg.eigvalsh(FEATURES.T @ FEATURES / len(FEATURES)).max())
    assert limit / 100 < suggested(spec_of(name, [])) < limit


@pytest.mark.parametrize("name", ["sgd", "adam", "adagrad"])
def test_training_with_the_suggestion_learns_faster_than_with_a_hundredth(name: str) -> None:
    spec = spec_of(name, [16])
    rate = suggested(spec)
    losses = []
    for learning_rate in (rate, rate / 100):
        chosen = spec.model_copy(
            update={"optimizer": spec.optimizer.model_copy(update={"learning_rate": learning_rate})}
        )
        *_, last = fit(Fitting(network_of(chosen), chosen), chosen, ROWS, ROWS, 1.0, Solo())
        losses.append(last.validation.loss)
    assert losses[0] < 0.5 * losses[1]


def test_the_rates_grow_evenly_from_the_lowest_and_end_when_the_loss_has_grown() -> None:
    spec = spec_of("sgd", [16])
    curve = searched(spec)
    assert curve.rates[0] == LOWEST
    assert curve.rates[-1] < HIGHEST
    steps = np.diff(np.log(curve.rates))
    np.testing.assert_allclose(steps, steps[0])
    assert len(curve.rates) == len(curve.losses)
    assert all(np.isfinite(curve.losses))


def test_the_same_spec_gives_the_same_curve() -> None:
    spec = spec_of("adam", [16], batch_size=7)
    assert searched(spec) == searched(spec)


def test_the_steepest_fall_is_suggested_to_two_digits() -> None:
    rates = np.geomspace(1e-6, 1, 101)
    losses = 2 - np.tanh(5 * (np.log10(rates) + 3.0))
    losses[90:] += np.arange(11)
    assert RateCurve(tuple(rates), tuple(losses)).suggestion == 0.001


@pytest.mark.parametrize("losses", [np.ones(50), np.arange(50.0), np.array([3.0])])
def test_a_loss_that_never_falls_suggests_nothing(losses: np.ndarray) -> None:
    rates = np.geomspace(1e-6, 1, len(losses))
    assert RateCurve(tuple(rates), tuple(losses)).suggestion is None


def test_clipped_gradients_bear_higher_rates() -> None:
    spec = spec_of("sgd", [])
    clipped = spec.model_copy(update={"optimizer": spec.optimizer.model_copy(update={"clip_norm": 1e-3})})
    assert searched(spec).rates[-1] < HIGHEST
    assert searched(clipped).rates[-1] == pytest.approx(HIGHEST)
