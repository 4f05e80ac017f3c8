"""Losses and penalties, against their formulas."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.models.network import build_network
from pipelines.spec.objective import Loss, Regularization
from pipelines.spec_file import build_spec
from pipelines.training.objective import Objective
from tests.unit.pipelines.training.textbook import row_losses

NONE = Regularization()


def test_cross_entropy_on_paper() -> None:
    objective = Objective(Loss(name="cross_entropy"), NONE)
    outputs = torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, 1000.0]])
    losses = objective.per_row(outputs, torch.tensor([0, 1, 1]))
    torch.testing.assert_close(losses, torch.tensor([math.log(2), math.log(4), 0.0]))


def test_mean_squared_error_on_paper() -> None:
    losses = Objective(Loss(name="mse"), NONE).per_row(torch.tensor([[1.0], [-2.0]]), torch.tensor([4.0, -2.0]))
    assert losses.tolist() == [9.0, 0.0]


def test_losses_are_one_a_row() -> None:
    random = np.random.default_rng(0)
    outputs, classes = random.standard_normal((9, 4)), random.integers(0, 4, 9)
    came = Objective(Loss(name="cross_entropy"), NONE).per_row(torch.from_numpy(outputs), torch.from_numpy(classes))
    np.testing.assert_allclose(came, row_losses("cross_entropy", outputs, classes))


@pytest.mark.parametrize(
    ("l1", "l2", "expected"), [(0.0, 0.0, 0.0), (0.5, 0.0, 0.5 * 6), (0.0, 0.5, 0.25 * 14), (0.5, 2.0, 3.0 + 14)]
)
def test_penalties_on_paper(l1: float, l2: float, expected: float) -> None:
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[1.0, -2.0, 3.0]])
    layer.bias.data.fill_(100.0)
    assert Objective(Loss(), Regularization(l1=l1, l2=l2)).penalty(layer).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("model", "row_shape", "weights"),
    [
        ({"family": "cnn", "channels": [2, 2], "hidden": [3]}, (1, 8, 8), 4),
        ({"family": "rnn", "cell": "lstm", "hidden_size": 3, "layers": 2}, (4, 2), 5),
    ],
)
def test_kernels_and_recurrent_matrices_are_weights_and_biases_are_not(
    model: dict[str, object], row_shape: tuple[int, ...], weights: int
) -> None:
    network = build_network(build_spec({"model": model}).model, row_shape, 3, 0)
    penalised = Objective(Loss(), Regularization(l2=1.0)).penalty(network)
    torch.autograd.backward(penalised)
    touched = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert len(touched) == weights
    assert not any("bias" in name for name in touched)
    squares = sum(p.square().sum().item() for name, p in network.named_parameters() if name in touched)
    assert penalised.item() == pytest.approx(squares / 2)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.5, 0.0), (0.0, 2.0), (0.5, 2.0)])
def test_the_gradient_of_a_penalty_is_that_of_its_formula(l1: float, l2: float) -> None:
    objective = Objective(Loss(), Regularization(l1=l1, l2=l2))
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
