"""A look at a network in training: what it measures, what it warns of, and that it leaves no trace."""

import copy
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from pipelines.models.network import build_network
from pipelines.models.texts import Padded
from pipelines.spec.objective import CrossEntropy, Loss, MeanSquaredError, Regularization
from pipelines.spec_file import build_spec
from pipelines.training.health import Probe
from pipelines.training.objective import Objective
from pipelines.training.slabs import Part
from pipelines.training.tally import Measures

LOSSES: dict[str, Loss] = {"mse": MeanSquaredError(name="mse"), "cross_entropy": CrossEntropy()}
EVEN = Measures(1.0)
"""Figures in which there is no gap."""


def probe_of(
    network: nn.Module,
    features: Tensor,
    targets: Tensor | None = None,
    loss: Literal["mse", "cross_entropy"] = "mse",
    validation_rows: int = 1000,
) -> Probe:
    return Probe(
        network=network,
        objective=Objective(LOSSES[loss], Regularization(l2=1.0)),
        part=Part(features, torch.ones(len(features)) if targets is None else targets),
        batch_size=32,
        validation_rows=validation_rows,
    )


def linear(network: nn.Sequential, number: int) -> nn.Linear:
    layer = network[number]
    assert isinstance(layer, nn.Linear)
    return layer


def rows(number: int, *shape: int) -> Tensor:
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(0))


def perceptron(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), activation()]
    return nn.Sequential(*layers[:-1])


def kinds(probe: Probe) -> list[str]:
    return [kind for kind, _ in probe.look(EVEN, EVEN, best=True).warnings]


def test_the_gradient_norm_is_that_of_the_loss_without_penalties() -> None:
    network, features = perceptron(3, 4, 1), rows(20, 3)
    found = probe_of(network, features).look(EVEN, EVEN, best=True)
    again = copy.deepcopy(network)
    torch.autograd.backward((again(features)[:, 0] - 1).square().mean())
    gradients = [parameter.grad for parameter in again.parameters() if parameter.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert found.gradient_norm == pytest.approx(norm, rel=1e-5)
    assert found.metrics == {"gradient_norm": found.gradient_norm}


def test_a_gradient_that_is_not_finite_has_no_norm() -> None:
    found = probe_of(perceptron(3, 4, 1), rows(20, 3) * 1e30).look(EVEN, EVEN, best=True)
    assert (found.gradient_norm, found.metrics) == (None, {})


def test_a_look_leaves_no_trace() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 1)).train()
    before, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    probe_of(network, rows(20, 3)).look(EVEN, EVEN, best=True)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(layer._forward_hooks for layer in network.modules())


def with_dead(number: int) -> nn.Sequential:
    """A perceptron with ten hidden ReLUs, so many of which can never answer."""
    network = perceptron(3, 10, 1)
    with torch.no_grad():
        linear(network, 0).bias[:number] = -1e3
    return network


@pytest.mark.parametrize(("number", "warned"), [(0, []), (6, []), (9, ["dead_relus"]), (10, ["dead_relus"])])
def test_a_layer_of_which_next_to_nothing_lives_is_warned_of(number: int, warned: list[str]) -> None:
    assert [kind for kind in kinds(probe_of(with_dead(number), rows(50, 3))) if kind == "dead_relus"] == warned


def test_the_warning_tells_layer_and_numbers_once() -> None:
    probe = probe_of(with_dead(9), rows(50, 3))
    (kind, text), *_ = probe.look(EVEN, EVEN, best=True).warnings
    assert kind == "dead_relus"
    assert text.startswith("9 of the 10 ReLUs of layer 1 are 0 for each of 50 training rows: try a smaller optimizer.")
    assert "dead_relus" not in kinds(probe)


@pytest.mark.parametrize(("learning_rate", "warned"), [(0.01, False), (1.0, True)])
def test_a_network_dies_of_a_learning_rate_far_too_high(learning_rate: float, warned: bool) -> None:
    network, features = perceptron(8, 64, 64, 1), rows(200, 8)
    targets = features.sum(dim=1)
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    for _ in range(50):
        optimizer.zero_grad()
        torch.autograd.backward((network(features)[:, 0] - targets).square().mean())
        optimizer.step()
    assert ("dead_relus" in kinds(probe_of(network, features, targets))) == warned


def test_what_was_told_before_an_interruption_is_not_told_again() -> None:
    probe = probe_of(with_dead(9), rows(50, 3))
    probe.told.update({"dead_relus", "vanishing_gradients"})
    assert kinds(probe) == []


def test_units_that_answer_to_rows_outside_of_the_first_look_are_alive() -> None:
    features = torch.ones(4096, 1)
    features[torch.linspace(0, 4095, 32).long()] = -1
    network = perceptron(1, 4, 1)
    with torch.no_grad():
        linear(network, 0).weight.fill_(1)
        linear(network, 0).bias.fill_(0)
    assert "dead_relus" not in kinds(probe_of(network, features))
    assert "dead_relus" in kinds(probe_of(network, features.clamp(max=-1)))


def test_a_unit_of_a_convolution_is_a_channel() -> None:
    network = nn.Sequential(nn.Conv2d(1, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(10 * 16, 1))
    convolution = network[0]
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.bias is not None
    with torch.no_grad():
        convolution.bias[:9] = -1e3
    (_, text), *_ = probe_of(network, rows(40, 1, 6, 6)).look(EVEN, EVEN, best=True).warnings
    assert text.startswith("9 of the 10 ReLUs of layer 1 ")


@pytest.mark.parametrize(
    ("depth", "activation", "warned"),
    [(1, nn.Sigmoid, []), (8, nn.Sigmoid, ["vanishing_gradients"]), (8, nn.ReLU, []), (0, nn.ReLU, [])],
)
def test_gradients_that_vanish_on_their_way_are_warned_of(
    depth: int, activation: type[nn.Module], warned: list[str]
) -> None:
    network = perceptron(8, *[8] * depth, 1, activation=activation)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    assert kinds(probe_of(network, rows(64, 8))) == warned


def test_recurrent_networks_can_be_looked_at() -> None:
    class Last(nn.Module):
        """The state after the last step."""

        def forward(self, states: tuple[Tensor, Tensor]) -> Tensor:
            return states[0][:, -1]

    network = nn.Sequential(nn.GRU(3, 4, batch_first=True), Last(), nn.Linear(4, 2))
    probe = probe_of(network, rows(30, 5, 3), torch.arange(30) % 2, "cross_entropy")
    assert (probe.look(EVEN, EVEN, best=True).gradient_norm or 0) > 0


def recurrent(cell: str, scale: float, **options: object) -> nn.Module:
    """A network whose weights from state to state are `scale` times as large as they begin."""
    model = build_spec({"model": {"family": "rnn", "cell": cell, "hidden_size": 6} | options}).model
    network = build_network(model, (30, 2), 2, 0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(scale if "weight_hh" in name else 1)
    return network


FAR = "the gradient of the first of 30 steps is "


@pytest.mark.parametrize(
    ("network", "advice"),
    [
        (recurrent("vanilla", 0.5), "try model.cell lstm, or fewer steps"),
        (recurrent("gru", 0.01), "try model.cell lstm, or fewer steps"),
        (recurrent("lstm", 1.0), ""),
        (recurrent("vanilla", 1.5), ""),
        (recurrent("vanilla", 0.5, bidirectional=True), ""),
    ],
)
def test_gradients_that_vanish_on_their_way_through_time_are_warned_of(network: nn.Module, advice: str) -> None:
    probe = probe_of(network, rows(40, 30, 2), torch.arange(40) % 2, "cross_entropy")
    texts = [text for kind, text in probe.look(EVEN, EVEN, best=True).warnings if kind == "vanishing_through_time"]
    assert [text.startswith(FAR) and text.endswith(advice) for text in texts] == [True] * bool(advice)
    assert not any(layer._forward_pre_hooks for layer in network.modules())


@pytest.mark.parametrize(("steps", "warned"), [(3, False), (30, True)])
def test_what_fills_a_row_up_is_no_step(steps: int, warned: bool) -> None:
    part = Part(rows(40, 30, 2), torch.arange(40) % 2, torch.full((40,), steps))
    probe = replace(probe_of(recurrent("vanilla", 0.5), rows(1, 30, 2), loss="cross_entropy"), part=part)
    assert ("vanishing_through_time" in kinds(probe)) == warned


def test_tokens_are_looked_at_behind_their_embedding() -> None:
    model = build_spec({"model": {"family": "rnn", "cell": "vanilla", "hidden_size": 6}}).model
    network = Padded(build_network(model, (30,), 2, 0, vocabulary=9), 3)
    tokens = torch.randint(2, 9, (40, 30), generator=torch.Generator().manual_seed(0))
    found = probe_of(network, tokens, torch.arange(40) % 2, "cross_entropy").look(EVEN, EVEN, best=True)
    rows_of_look = torch.linspace(0, 39, 32).long()
    loss = nn.functional.cross_entropy(network(tokens[rows_of_look]), rows_of_look % 2)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    expected = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
    assert found.gradient_norm == pytest.approx(expected, rel=1e-5), "the embedding's has a part in it"


@pytest.mark.parametrize(
    ("name", "train", "validation", "validation_rows", "best", "warned"),
    [
        ("accuracy", 0.99, 0.85, 1000, False, True),
        ("accuracy", 0.99, 0.85, 1000, True, False),  # the network is still getting better
        ("accuracy", 0.99, 0.90, 1000, False, False),
        ("accuracy", 0.99, 0.85, 20, False, False),  # 3 of 20 rows may be chance
        ("accuracy", 0.85, 0.99, 1000, False, False),
        ("r2", 0.9, 0.6, 20, False, True),
        ("r2", 0.9, 0.75, 20, False, False),
        ("mae", 1.0, 9.0, 1000, False, False),
    ],
)
def test_a_gap_between_training_and_validation_is_warned_of(
    name: str, train: float, validation: float, validation_rows: int, best: bool, warned: bool
) -> None:
    probe = probe_of(perceptron(3, 4, 1), rows(20, 3), validation_rows=validation_rows)
    found = probe.look(Measures(1.0, {name: train}), Measures(1.0, {name: validation}), best=best)
    expected = f"{name} is {train:.3f} on training and {validation:.3f} on validation rows"
    texts = [text for kind, text in found.warnings if kind == "generalization_gap"]
    assert [text.startswith(expected) for text in texts] == [True] * warned
