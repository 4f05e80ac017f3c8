"""Losses and penalties, against their formulas."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.errors import DataError
from pipelines.models.network import build_network
from pipelines.spec.objective import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Regularization,
)
from pipelines.spec_file import build_spec
from pipelines.training.objective import Objective, class_weights
from tests.unit.pipelines.training.textbook import row_losses

NONE = Regularization()
MSE, MAE = MeanSquaredError(name="mse"), MeanAbsoluteError(name="mae")
BINARY = BinaryCrossEntropy(name="binary_cross_entropy")


def huber(delta: float) -> Huber:
    return Huber(name="huber", delta=delta)


def test_cross_entropy_on_paper() -> None:
    objective = Objective(CrossEntropy(), NONE)
    outputs = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, 1000.0]])
    losses = objective.per_row(outputs, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(losses, torch.tensor([math.log(2), math.log(4), 0.0]))


def test_label_smoothing_on_paper() -> None:
    # p = (3/4, 1/4); q = (0.9, 0.1) for ε = 0.2 and two classes
    losses = Objective(CrossEntropy(label_smoothing=0.2), NONE).per_row(
        torch.tensor([[math.log(3), 0.0]]), torch.tensor([0])
    )
    assert losses.item() == pytest.approx(-(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4)))


def test_binary_cross_entropy_on_paper() -> None:
    # Of the logits (0, z) with σ(z) = 3/4.
    outputs = torch.tensor([[0.0, math.log(3)]] * 2)
    losses = Objective(BINARY, NONE).per_row(outputs, torch.tensor([0, 1]))
    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(4 / 3)]))


def test_binary_cross_entropy_is_the_cross_entropy_of_both_classes() -> None:
    outputs, classes = torch.randn(9, 2), torch.arange(9) % 2
    both = (Objective(loss, NONE).per_row(outputs, classes) for loss in (BINARY, CrossEntropy()))
    torch.testing.assert_close(*both)


def test_binary_cross_entropy_stays_finite() -> None:
    losses = Objective(BINARY, NONE).per_row(torch.tensor([[0.0, 1000.0], [0.0, -1000.0]]), torch.tensor([0, 1]))
    assert losses.tolist() == [1000.0, 1000.0]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (MSE, [9.0, 0.0, 0.25]),
        (MAE, [3.0, 0.0, 0.5]),
        (huber(1.0), [2.5, 0.0, 0.125]),  # 1·(3 - 1/2), 0, 0.5²/2
        (huber(0.2), [0.2 * 2.9, 0.0, 0.2 * 0.4]),
        (huber(100.0), [4.5, 0.0, 0.125]),
    ],
)
def test_losses_of_quantities_on_paper(loss: Loss, expected: list[float]) -> None:
    outputs, targets = torch.tensor([[1.0], [-2.0], [0.5]]), torch.tensor([4.0, -2.0, 1.0])
    torch.testing.assert_close(Objective(loss, NONE).per_row(outputs, targets), torch.tensor(expected))


@pytest.mark.parametrize("loss", [MSE, MAE, huber(0.5)])
def test_the_loss_of_a_forecast_is_the_mean_over_steps_and_variables(loss: Loss) -> None:
    outputs, targets = torch.randn(5, 3, 2), torch.randn(5, 3, 2)
    objective = Objective(loss, NONE)
    each = objective.per_row(outputs.reshape(30, 1), targets.reshape(30))
    torch.testing.assert_close(objective.per_row(outputs, targets), each.reshape(5, 6).mean(dim=1))


def test_losses_are_one_a_row() -> None:
    random = np.random.default_rng(0)
    outputs, classes = random.standard_normal((9, 4)), random.integers(0, 4, 9)
    came = Objective(CrossEntropy(), NONE).per_row(torch.from_numpy(outputs), torch.from_numpy(classes))
    np.testing.assert_allclose(came, row_losses("cross_entropy", outputs, classes))


@pytest.mark.parametrize("weights", [None, (0.5, 4.0)])
@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(label_smoothing=0.3), BINARY])
def test_the_derivative_of_a_loss_of_classes_is_autograds(loss: Loss, weights: tuple[float, ...] | None) -> None:
    objective = Objective(loss, NONE, None if weights is None else torch.tensor(weights, dtype=torch.float64))
    check_derivative(objective, torch.randn(6, 2) * 3, torch.arange(6) % 2)


@pytest.mark.parametrize("shape", [(5, 1), (5, 3, 2), (0, 1)])
@pytest.mark.parametrize("loss", [MSE, MAE, huber(0.5)])
def test_the_derivative_of_a_loss_of_quantities_is_autograds(loss: Loss, shape: tuple[int, ...]) -> None:
    check_derivative(Objective(loss, NONE), torch.randn(shape), torch.randn(shape).squeeze(1))


def check_derivative(objective: Objective, outputs: Tensor, targets: Tensor) -> None:
    came = objective.derivative(outputs, targets, 0.25)
    leaf = outputs.clone().requires_grad_()
    torch.autograd.backward(0.25 * objective.per_row(leaf, targets).sum())
    torch.testing.assert_close(came, leaf.grad)


@pytest.mark.parametrize("loss", [CrossEntropy(label_smoothing=0.3), BINARY])
def test_a_rows_loss_counts_as_its_class_weighs(loss: Loss) -> None:
    outputs, classes = torch.randn(6, 2), torch.arange(6) % 2
    plain = Objective(loss, NONE).per_row(outputs, classes)
    weighted = Objective(loss, NONE, torch.tensor([0.5, 4.0])).per_row(outputs, classes)
    torch.testing.assert_close(weighted, plain * torch.tensor([0.5, 4.0]).repeat(3))


@pytest.mark.parametrize("loss", [MSE, MAE, huber(1.0), CrossEntropy(), BINARY])
def test_no_rows_have_no_losses(loss: Loss) -> None:
    classes = isinstance(loss, CrossEntropy | BinaryCrossEntropy)
    outputs = torch.zeros(0, 2 if classes else 1)
    targets: Tensor = torch.zeros(0, dtype=torch.int64 if classes else torch.float32)
    assert Objective(loss, NONE, torch.ones(2) if classes else None).per_row(outputs, targets).shape == (0,)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, None),
        ("balanced", (12 / (3 * 6), 12 / (3 * 4), 12 / (3 * 2))),
        ({"a": 2.0}, (2.0, 1.0, 1.0)),
        ({"c": 5, "a": 0.5}, (0.5, 1.0, 5.0)),
    ],
)
def test_weights_of_classes(asked: object, expected: tuple[float, ...] | None) -> None:
    loss = build_spec({"loss": {"class_weights": asked}}).loss
    assert class_weights(loss, ("a", "b", "c"), (6, 4, 2)) == pytest.approx(expected)


def test_balanced_weights_average_to_one_over_the_rows() -> None:
    loss, rows = build_spec({"loss": {"class_weights": "balanced"}}).loss, (7, 1, 30, 2)
    weights = class_weights(loss, tuple("abcd"), rows)
    assert weights is not None
    assert np.average(weights, weights=rows) == pytest.approx(1)
    assert [weight * count for weight, count in zip(weights, rows, strict=True)] == pytest.approx([10] * 4)


def test_a_weight_for_a_label_that_is_not_there_is_refused() -> None:
    loss = build_spec({"loss": {"class_weights": {"d": 2}}}).loss
    with pytest.raises(DataError, match=r"^loss.class_weights: expected labels among a, b, came 'd'$"):
        class_weights(loss, ("a", "b"), (1, 1))


def test_quantities_have_no_class_weights() -> None:
    assert class_weights(MSE, (), ()) is None


@pytest.mark.parametrize(
    ("l1", "l2", "expected"), [(0.0, 0.0, 0.0), (0.5, 0.0, 0.5 * 6), (0.0, 0.5, 0.25 * 14), (0.5, 2.0, 3.0 + 14)]
)
def test_penalties_on_paper(l1: float, l2: float, expected: float) -> None:
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[1.0, -2.0, 3.0]])
    layer.bias.data.fill_(100.0)
    assert Objective(CrossEntropy(), Regularization(l1=l1, l2=l2)).penalty(layer).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "row_shape", "weights"),
    [
        ({"family": "mlp", "hidden": [3], "norm": "batch"}, (4,), 2),
        ({"family": "mlp", "hidden": [3], "norm": "layer"}, (4,), 2),
        ({"family": "cnn", "channels": [2, 2], "hidden": [3]}, (1, 8, 8), 4),
        ({"family": "cnn", "blocks": [{"channels": 2, "residual": True}], "norm": "batch"}, (8, 3), 5),
        ({"family": "rnn", "cell": "lstm", "hidden_size": 3, "layers": 2}, (4, 2), 5),
        ({"family": "rnn", "hidden_size": 3, "bidirectional": True}, (4, 2), 5),
    ],
)
def test_kernels_and_recurrent_matrices_are_weights_and_biases_are_not(
    model: dict[str, object], row_shape: tuple[int, ...], weights: int
) -> None:
    network = build_network(build_spec({"model": model}).model, row_shape, 3, 0)
    penalised = Objective(CrossEntropy(), Regularization(l2=1.0)).penalty(network)
    torch.autograd.backward(penalised)
    touched = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert len(touched) == weights
    assert not any("bias" in name or "norm" in name for name in touched)
    squares = sum(p.square().sum().item() for name, p in network.named_parameters() if name in touched)
    assert penalised.item() == pytest.approx(squares / 2)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.5, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_the_gradient_of_a_penalty_is_that_of_its_formula(l1: float, l2: float) -> None:
    objective = Objective(CrossEntropy(), Regularization(l1=l1, l2=l2))
    added, derived = (nn.Linear(3, 2) for _ in range(2))
    derived.load_state_dict(added.state_dict())
    with torch.no_grad():
        for layer in (added, derived):
            layer.weight[0, 0] = 0.0  # where |w| has no slope
    for layer in (added, derived):
        layer(torch.ones(4, 3)).sum().backward()
    objective.add_penalty_gradient(objective.penalised(added))
    penalty = objective.penalty(derived)
    if penalty.requires_grad:
        torch.autograd.backward(penalty)
    for one, other in zip(added.parameters(), derived.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
