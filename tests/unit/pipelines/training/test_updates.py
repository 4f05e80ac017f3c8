"""Each optimizer, loss, penalty and activation through the real loop, against hand-computed updates of its formula."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.models.network import build_network
from pipelines.spec.optimizer import GradientDescent
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.batches import Batches
from pipelines.training.loop import EpochReport, Fitting, fit
from pipelines.training.slabs import Part
from pipelines.training.team import Solo
from tests.unit.pipelines.training.textbook import (
    ACTIVATIONS,
    Adagrad,
    Adam,
    Array,
    Descent,
    Layers,
    Problem,
    RmsProp,
    Rule,
    train,
)

ROWS, FEATURES, EPOCHS, BATCH = 11, 4, 3, 4
RANDOM = np.random.default_rng(3)
X: Array = RANDOM.standard_normal((ROWS, FEATURES))
QUANTITIES = RANDOM.standard_normal(ROWS)
CLASSES = RANDOM.integers(0, 3, ROWS)
TARGETS: dict[str, NDArray[np.generic]] = {
    "mse": QUANTITIES,
    "mae": QUANTITIES,
    "huber": QUANTITIES,
    "cross_entropy": CLASSES,
    "binary_cross_entropy": np.minimum(CLASSES, 1),
}
OUTPUTS = {"mse": 1, "mae": 1, "huber": 1, "cross_entropy": 3, "binary_cross_entropy": 2}
LOSSES = tuple(TARGETS)

OPTIMIZERS: dict[str, tuple[dict[str, Any], Callable[[], Rule]]] = {
    "gd": ({"name": "gd", "learning_rate": 0.2}, lambda: Descent(0.2)),
    "sgd": ({"name": "sgd", "learning_rate": 0.1}, lambda: Descent(0.1)),
    "momentum": ({"name": "sgd", "learning_rate": 0.05, "momentum": 0.8}, lambda: Descent(0.05, 0.8)),
    "nesterov": (
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True},
        lambda: Descent(0.05, 0.8, nesterov=True),
    ),
    "adagrad": ({"name": "adagrad", "learning_rate": 0.3, "epsilon": 0.01}, lambda: Adagrad(0.3, 0.01)),
    "rmsprop": (
        {"name": "rmsprop", "learning_rate": 0.03, "decay": 0.7, "epsilon": 0.01},
        lambda: RmsProp(0.03, 0.7, 0.01),
    ),
    "adam": (
        {"name": "adam", "learning_rate": 0.03, "betas": [0.7, 0.95], "epsilon": 0.01},
        lambda: Adam(0.03, (0.7, 0.95), 0.01),
    ),
    "adamw": (
        {"name": "adamw", "learning_rate": 0.03, "betas": [0.7, 0.95], "epsilon": 0.01, "weight_decay": 2.0},
        lambda: Adam(0.03, (0.7, 0.95), 0.01, weight_decay=2.0),
    ),
}
PENALTIES = {"none": {}, "l1": {"l1": 0.05}, "l2": {"l2": 0.3}, "both": {"l1": 0.05, "l2": 0.3}}
COMBINATIONS = [
    (optimizer, loss, penalty)
    for optimizer, loss, penalty in product(OPTIMIZERS, LOSSES, PENALTIES)
    if optimizer != "adamw" or "l2" not in PENALTIES[penalty]
]


def spec_of(
    optimizer: dict[str, Any],
    loss: str | dict[str, Any],
    penalty: dict[str, float],
    schedule: dict[str, Any] | None = None,
    **model: object,
) -> TrainingSpec:
    return build_spec(
        {
            "seed": 5,
            "data": {"source": "synthetic"},
            "loss": {"name": loss} if isinstance(loss, str) else loss,
            "optimizer": optimizer,
            "schedule": schedule or {},
            "regularization": penalty,
            "model": {"family": "mlp", "hidden": []} | model,
            "training": {"epochs": EPOCHS, "batch_size": BATCH},
        }
    )


def network_of(spec: TrainingSpec) -> nn.Module:
    outputs = OUTPUTS[spec.loss.name]
    network = build_network(spec.model, (FEATURES,), outputs, 0, one_logit=spec.one_logit).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.dim() == 1:  # biases other than 0, so that a penalty on them would show
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network


def layers_of(network: nn.Module) -> Layers:
    arrays = [parameter.detach().numpy().copy() for parameter in network.parameters()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def run(spec: TrainingSpec, network: nn.Module, class_weights: tuple[float, ...] | None = None) -> list[EpochReport]:
    part = Part(torch.from_numpy(X), torch.from_numpy(TARGETS[spec.loss.name]))
    return list(fit(Fitting(network, spec), spec, part, part, 1.0, Solo(), class_weights=class_weights))


def batches_of(spec: TrainingSpec, epoch: int) -> list[NDArray[Any]]:
    if isinstance(spec.optimizer, GradientDescent):
        return [np.arange(ROWS)]
    updates = Batches(ROWS, BATCH, rank=0, size=1).stochastic(spec.seed, epoch)
    return [update.chunks[0].numpy() for update in updates]


def check(spec: TrainingSpec, rule: Rule, problem: Problem | None = None, rates: list[float] | None = None) -> None:
    """The loop's weights and reports, epoch by epoch, against the textbook's; `rates` are of all the updates."""
    network = network_of(spec)
    l1, l2 = spec.regularization.l1, spec.regularization.l2
    problem = replace(problem or Problem(spec.loss.name), l1=l1, l2=l2)
    layers, y, clip_norm = layers_of(network), TARGETS[spec.loss.name], spec.optimizer.clip_norm or math.inf
    for report in run(spec, network, problem.class_weights):
        for batch in batches_of(spec, report.epoch):
            rule.rate = rates.pop(0) if rates else rule.rate
            layers = train(problem, rule, layers, X, y, [batch], clip_norm)
        assert report.validation.loss == pytest.approx(problem.data_loss(layers, X, y), rel=1e-9)
        assert report.penalty == pytest.approx(problem.penalty(layers), rel=1e-9)
        assert report.learning_rate == pytest.approx(rule.rate, rel=1e-12)
    assert not rates
    for (weight, bias), (expected_weight, expected_bias) in zip(layers_of(network), layers, strict=True):
        np.testing.assert_allclose(weight, expected_weight, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("optimizer", "loss", "penalty"), COMBINATIONS)
def test_a_linear_model_follows_the_formulas(optimizer: str, loss: str, penalty: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    check(spec_of(section, loss, PENALTIES[penalty]), rule())


@pytest.mark.parametrize(
    ("activation", "loss", "optimizer"),
    list(product(ACTIVATIONS, ("mse", "cross_entropy", "binary_cross_entropy"), ("gd", "sgd", "adam"))),
)
def test_backpropagation_through_each_activation(activation: str, loss: str, optimizer: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    spec = spec_of(section, loss, PENALTIES["both"], hidden=[6], activation=activation)
    check(spec, rule(), Problem(loss, activation))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_backpropagation_through_two_hidden_layers(activation: str) -> None:
    section, rule = OPTIMIZERS["momentum"]
    spec = spec_of(section, "cross_entropy", PENALTIES["l2"], hidden=[5, 6], activation=activation)
    check(spec, rule(), Problem("cross_entropy", activation))


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "adam"])
@pytest.mark.parametrize(
    ("loss", "problem"),
    [
        ({"name": "huber", "delta": 0.4}, Problem("huber", delta=0.4)),
        ({"name": "cross_entropy", "label_smoothing": 0.2}, Problem("cross_entropy", smoothing=0.2)),
        ({"name": "cross_entropy"}, Problem("cross_entropy", class_weights=(0.5, 1.0, 3.0))),
        ({"name": "binary_cross_entropy"}, Problem("binary_cross_entropy", class_weights=(2.0, 0.75))),
        (
            {"name": "cross_entropy", "label_smoothing": 0.1},
            Problem("cross_entropy", smoothing=0.1, class_weights=(0.5, 1.0, 3.0)),
        ),
    ],
)
def test_the_settings_of_losses_follow_their_formulas(loss: dict[str, Any], problem: Problem, optimizer: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    check(spec_of(section, loss, PENALTIES["both"]), rule(), problem)


@pytest.mark.parametrize("optimizer", ["gd", "sgd", "nesterov", "rmsprop", "adam"])
@pytest.mark.parametrize("clip_norm", [0.3, 1e6])
def test_gradients_are_clipped_by_their_norm(optimizer: str, clip_norm: float) -> None:
    section, rule = OPTIMIZERS[optimizer]
    check(spec_of(section | {"clip_norm": clip_norm}, "mse", PENALTIES["both"], hidden=[6]), rule())


def test_clipping_did_matter() -> None:
    free, held = (spec_of({"name": "sgd", "clip_norm": longest}, "mse", {}) for longest in (None, 0.3))
    assert run(free, network_of(free))[-1].train.loss < run(held, network_of(held))[-1].train.loss


COSINES = [(1 + math.cos(math.pi * way)) / 2 for way in (0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6)]
SCHEDULES: dict[str, tuple[dict[str, Any], list[float]]] = {  # 3 epochs of 3 updates: shares of the learning rate
    "warmup": ({"warmup_epochs": 2}, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1, 1, 1, 1]),
    "part of an epoch": ({"warmup_epochs": 0.5}, [1 / 1.5, 1, 1, 1, 1, 1, 1, 1, 1]),
    "step": ({"name": "step", "every": 1, "factor": 0.5}, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    "step of two": ({"name": "step", "every": 2, "factor": 0.1}, [1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1]),
    "cosine": ({"name": "cosine"}, [(1 + math.cos(math.pi * update / 9)) / 2 for update in range(9)]),
    "cosine after warmup": ({"name": "cosine", "warmup_epochs": 1}, [1 / 3, 2 / 3, 1, *COSINES]),
    "cosine to a tenth": (
        {"name": "cosine", "final": 0.1, "warmup_epochs": 1},
        [1 / 3, 2 / 3, 1, *(0.1 + 0.9 * share for share in COSINES)],
    ),
}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_follows_its_schedule(schedule: str, optimizer: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    asked, shares = SCHEDULES[schedule]
    full = section["learning_rate"]
    check(spec_of(section, "mse", {}, asked), rule(), rates=[full * share for share in shares])


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ({"warmup_epochs": 2}, [0.5, 1, 1]),
        ({"name": "cosine"}, [1, 0.75, 0.25]),
        ({"name": "step", "every": 1}, [1, 0.1, 0.01]),
    ],
)
def test_gradient_descent_has_one_update_an_epoch(schedule: dict[str, Any], shares: list[float]) -> None:
    section, rule = OPTIMIZERS["gd"]
    check(spec_of(section, "mse", {}, schedule), rule(), rates=[0.2 * share for share in shares])


def test_two_updates_worked_out_on_paper() -> None:
    # Rows (1 → 2) and (2 → 3), model wx + b from w = 0.5, b = 0, mean squared error, η = 0.1, gradient descent.
    # 1: errors -1.5, -2; dw = (2·-1.5·1 + 2·-2·2)/2 = -5.5; db = (2·-1.5 + 2·-2)/2 = -3.5; w = 1.05, b = 0.35
    # 2: errors -0.6, -0.55; dw = (-1.2 - 2.2)/2 = -1.7; db = (-1.2 - 1.1)/2 = -1.15; w = 1.22, b = 0.465
    spec = spec_of({"name": "gd", "learning_rate": 0.1}, "mse", {})
    network = nn.Linear(1, 1)
    network.weight.data.fill_(0.5)
    network.bias.data.zero_()
    part = Part(torch.tensor([[1.0], [2.0]]), torch.tensor([2.0, 3.0]))
    reports = fit(Fitting(network, spec), spec, part, part, 1.0, Solo())
    first = next(reports)
    assert (network.weight.item(), network.bias.item()) == pytest.approx((1.05, 0.35))
    assert first.train.loss == pytest.approx((1.5**2 + 2**2) / 2)  # before the update
    assert first.validation.loss == pytest.approx((0.6**2 + 0.55**2) / 2)  # after it
    next(reports)
    assert (network.weight.item(), network.bias.item()) == pytest.approx((1.22, 0.465))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradient_descent_in_chunks_is_gradient_descent(penalty: str) -> None:
    whole = spec_of(OPTIMIZERS["gd"][0] | {"clip_norm": 0.5}, "cross_entropy", PENALTIES[penalty], hidden=[6])
    results = []
    for batch_size in (1, 4, ROWS, 1000):
        training = whole.training.model_copy(update={"batch_size": batch_size})
        network = network_of(whole)
        run(whole.model_copy(update={"training": training}), network, (0.5, 1.0, 3.0))
        results.append(np.concatenate([np.append(w.ravel(), b) for w, b in layers_of(network)]))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-10)


def test_one_row_a_batch_is_the_textbooks_single_sample_form() -> None:
    section, rule = OPTIMIZERS["sgd"]
    base = spec_of(section, "mse", {})
    spec = base.model_copy(update={"training": base.training.model_copy(update={"batch_size": 1, "epochs": 1})})
    network = network_of(spec)
    layers = layers_of(network)
    order = [update.chunks[0].numpy() for update in Batches(ROWS, 1, rank=0, size=1).stochastic(spec.seed, 1)]
    assert [len(rows) for rows in order] == [1] * ROWS
    run(spec, network)
    expected = train(Problem("mse"), rule(), layers, X, TARGETS["mse"], order)
    np.testing.assert_allclose(layers_of(network)[0][0], expected[0][0], rtol=1e-9)
