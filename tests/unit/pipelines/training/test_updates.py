"""Each optimizer, loss, penalty and activation through the real loop, against hand-computed updates of its formula."""

from collections.abc import Callable
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
from tests.unit.pipelines.training.textbook import Adagrad, Adam, Array, Descent, Layers, Problem, Rule, train

ROWS, FEATURES, EPOCHS, BATCH = 11, 4, 3, 4
RANDOM = np.random.default_rng(3)
X: Array = RANDOM.standard_normal((ROWS, FEATURES))
TARGETS: dict[str, NDArray[np.generic]] = {
    "mse": RANDOM.standard_normal(ROWS),
    "cross_entropy": RANDOM.integers(0, 3, ROWS),
}
OUTPUTS = {"mse": 1, "cross_entropy": 3}
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
    "adam": (
        {"name": "adam", "learning_rate": 0.03, "betas": [0.7, 0.95], "epsilon": 0.01},
        lambda: Adam(0.03, (0.7, 0.95), 0.01),
    ),
}
PENALTIES = {"none": {}, "l1": {"l1": 0.05}, "l2": {"l2": 0.3}, "both": {"l1": 0.05, "l2": 0.3}}


def spec_of(optimizer: dict[str, Any], loss: str, penalty: dict[str, float], **model: object) -> TrainingSpec:
    return build_spec(
        {
            "seed": 5,
            "data": {"source": "synthetic"},
            "loss": {"name": loss},
            "optimizer": optimizer,
            "regularization": penalty,
            "model": {"family": "mlp", "hidden": []} | model,
            "training": {"epochs": EPOCHS, "batch_size": BATCH},
        }
    )


def network_of(spec: TrainingSpec) -> nn.Module:
    network = build_network(spec.model, (FEATURES,), OUTPUTS[spec.loss.name], 0).double()
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.dim() == 1:  # biases other than 0, so that a penalty on them would show
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return network


def layers_of(network: nn.Module) -> Layers:
    arrays = [parameter.detach().numpy().copy() for parameter in network.parameters()]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def run(spec: TrainingSpec, network: nn.Module) -> list[EpochReport]:
    part = Part(torch.from_numpy(X), torch.from_numpy(TARGETS[spec.loss.name]))
    return list(fit(Fitting(network, spec), spec, part, part, 1.0, Solo()))


def batches_of(spec: TrainingSpec, epoch: int) -> list[NDArray[Any]]:
    if isinstance(spec.optimizer, GradientDescent):
        return [np.arange(ROWS)]
    updates = Batches(ROWS, BATCH, rank=0, size=1).stochastic(spec.seed, epoch)
    return [update.chunks[0].numpy() for update in updates]


def check(spec: TrainingSpec, rule: Rule, activation: str = "relu") -> None:
    """The loop's weights and reports, epoch by epoch, against the textbook's."""
    network = network_of(spec)
    problem = Problem(spec.loss.name, activation, spec.regularization.l1, spec.regularization.l2)
    layers, y = layers_of(network), TARGETS[spec.loss.name]
    for report in run(spec, network):
        layers = train(problem, rule, layers, X, y, batches_of(spec, report.epoch))
        assert report.validation.loss == pytest.approx(problem.data_loss(layers, X, y), rel=1e-9)
        assert report.penalty == pytest.approx(problem.penalty(layers), rel=1e-9)
        assert report.learning_rate == spec.optimizer.learning_rate
    for (weight, bias), (expected_weight, expected_bias) in zip(layers_of(network), layers, strict=True):
        np.testing.assert_allclose(weight, expected_weight, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(bias, expected_bias, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("optimizer", "loss", "penalty"), list(product(OPTIMIZERS, LOSSES, PENALTIES)))
def test_a_linear_model_follows_the_formulas(optimizer: str, loss: str, penalty: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    check(spec_of(section, loss, PENALTIES[penalty]), rule())


@pytest.mark.parametrize(
    ("activation", "loss", "optimizer"), list(product(("sigmoid", "tanh", "relu"), LOSSES, ("gd", "sgd", "adam")))
)
def test_backpropagation_through_each_activation(activation: str, loss: str, optimizer: str) -> None:
    section, rule = OPTIMIZERS[optimizer]
    check(spec_of(section, loss, PENALTIES["both"], hidden=[6], activation=activation), rule(), activation)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_backpropagation_through_two_hidden_layers(activation: str) -> None:
    section, rule = OPTIMIZERS["momentum"]
    check(spec_of(section, "cross_entropy", PENALTIES["l2"], hidden=[5, 6], activation=activation), rule(), activation)


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
    whole = spec_of(OPTIMIZERS["gd"][0], "cross_entropy", PENALTIES[penalty], hidden=[6])
    results = []
    for batch_size in (1, 4, ROWS, 1000):
        training = whole.training.model_copy(update={"batch_size": batch_size})
        network = network_of(whole)
        run(whole.model_copy(update={"training": training}), network)
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
