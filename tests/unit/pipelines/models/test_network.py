"""Every family: shapes, first weights, what does not fit."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.errors import DataError
from pipelines.models.network import build_network
from pipelines.spec_file import build_spec


def network(model: dict[str, Any], row_shape: tuple[int, ...], outputs: int = 3, seed: int = 0) -> nn.Module:
    return build_network(build_spec({"model": model}).model, row_shape, outputs, seed)


FAMILIES: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"family": "mlp", "hidden": [8, 4]}, (5,)),
    ({"family": "mlp", "hidden": []}, (5,)),
    ({"family": "mlp", "hidden": [8]}, (2, 3, 4)),
    ({"family": "cnn", "channels": [4], "kernel_size": 5}, (1, 8, 8)),
    ({"family": "cnn", "channels": [4, 6], "hidden": []}, (3, 9, 5)),
    ({"family": "rnn", "cell": "vanilla", "hidden_size": 6}, (7, 2)),
    ({"family": "rnn", "cell": "lstm", "hidden_size": 6, "layers": 2}, (7, 2)),
    ({"family": "rnn", "cell": "gru", "hidden_size": 6, "layers": 3}, (1, 2)),
]


@pytest.mark.parametrize(("model", "row_shape"), FAMILIES)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_rows_go_in_and_one_value_an_output_comes_out(
    model: dict[str, Any], row_shape: tuple[int, ...], rows: int
) -> None:
    assert network(model, row_shape)(torch.zeros(rows, *row_shape)).shape == (rows, 3)


@pytest.mark.parametrize(("model", "row_shape"), FAMILIES)
def test_a_row_does_not_see_its_neighbours(model: dict[str, Any], row_shape: tuple[int, ...]) -> None:
    net, rows = network(model, row_shape), torch.randn(4, *row_shape)
    torch.testing.assert_close(net(rows)[2:3], net(rows[2:3]))


def layers(net: nn.Module) -> list[str]:
    return [type(module).__name__ for module in net.modules() if not isinstance(module, nn.Sequential)]


def test_the_mlp_has_the_layers_of_its_spec() -> None:
    net = network({"family": "mlp", "hidden": [64, 32], "activation": "sigmoid"}, (20,), outputs=10)
    assert layers(net) == ["Flatten", "Linear", "Sigmoid", "Linear", "Sigmoid", "Linear"]
    assert [tuple(p.shape) for p in net.parameters() if p.dim() > 1] == [(64, 20), (32, 64), (10, 32)]


def test_the_cnn_has_the_layers_of_its_spec() -> None:
    net = network(
        {"family": "cnn", "channels": [4, 6], "kernel_size": 5, "hidden": [7], "activation": "tanh"}, (2, 8, 8)
    )
    assert layers(net) == ["Conv2d", "Tanh", "MaxPool2d"] * 2 + ["Flatten", "Linear", "Tanh", "Linear"]
    shapes = [tuple(p.shape) for p in net.parameters() if p.dim() > 1]
    assert shapes == [(4, 2, 5, 5), (6, 4, 5, 5), (7, 24), (3, 7)]


@pytest.mark.parametrize(
    ("cell", "activation", "kind"),
    [
        ("vanilla", "tanh", "RNN_TANH"),
        ("vanilla", "relu", "RNN_RELU"),
        ("lstm", "tanh", "LSTM"),
        ("gru", "tanh", "GRU"),
    ],
)
def test_the_rnn_has_the_cell_of_its_spec(cell: str, activation: str, kind: str) -> None:
    model = {"family": "rnn", "cell": cell, "activation": activation, "hidden_size": 5, "layers": 2}
    recurrent = next(module for module in network(model, (4, 3)).modules() if isinstance(module, nn.RNNBase))
    assert (recurrent.mode, recurrent.hidden_size, recurrent.num_layers, recurrent.input_size) == (kind, 5, 2, 3)
    assert recurrent.batch_first


def test_the_rnn_reads_the_state_after_the_last_step() -> None:
    net = network({"family": "rnn", "cell": "vanilla", "hidden_size": 4}, (6, 2))
    parameters = {name: weight.detach() for name, weight in net.named_parameters()}
    rows = torch.randn(3, 6, 2)
    state = torch.zeros(3, 4)
    for step in range(6):
        state = torch.tanh(
            rows[:, step] @ parameters["recurrent.weight_ih_l0"].T
            + parameters["recurrent.bias_ih_l0"]
            + state @ parameters["recurrent.weight_hh_l0"].T
            + parameters["recurrent.bias_hh_l0"]
        )
    torch.testing.assert_close(net(rows), state @ parameters["head.weight"].T + parameters["head.bias"])


def fans(weight: Tensor) -> tuple[int, int]:
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def bound(weight: Tensor, activation: str) -> float:
    """Of the uniform distribution: √(6 / fan_in) (He) for relu, gain √(6 / (fan_in + fan_out)) (Glorot) for others."""
    fan_in, fan_out = fans(weight)
    if activation == "relu":
        return math.sqrt(6 / fan_in)
    return {"tanh": 5 / 3, "sigmoid": 1.0, "linear": 1.0}[activation] * math.sqrt(6 / (fan_in + fan_out))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(
    ("model", "row_shape"),
    [
        ({"family": "mlp", "hidden": [200, 120]}, (100,)),
        ({"family": "cnn", "channels": [60], "hidden": [90]}, (12, 8, 8)),
    ],
)
def test_first_weights_follow_the_activation(
    model: dict[str, Any], row_shape: tuple[int, ...], activation: str
) -> None:
    net = network(model | {"activation": activation}, row_shape, outputs=40)
    weights = [parameter for parameter in net.parameters() if parameter.dim() > 1]
    for at, weight in enumerate(weights):
        expected = bound(weight, activation if at < len(weights) - 1 else "linear")
        assert weight.abs().max().item() == pytest.approx(expected, rel=0.01)
        assert weight.abs().max().item() <= expected
        assert weight.std().item() == pytest.approx(expected / math.sqrt(3), rel=0.05)
    assert all(not parameter.any() for parameter in net.parameters() if parameter.dim() == 1)


@pytest.mark.parametrize(("model", "row_shape"), FAMILIES)
def test_the_seed_gives_the_weights(model: dict[str, Any], row_shape: tuple[int, ...]) -> None:
    first, again, other = (network(model, row_shape, seed=seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    network({"family": "mlp"}, (5,), seed=123)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("model", "row_shape", "message"),
    [
        ({"family": "cnn"}, (64,), "[channels, height, width] for model.family cnn, came [64]"),
        ({"family": "cnn"}, (8, 8), "[channels, height, width] for model.family cnn, came [8, 8]"),
        ({"family": "rnn"}, (64,), "[time, features] for model.family rnn, came [64]"),
        ({"family": "rnn"}, (1, 8, 8), "[time, features] for model.family rnn, came [1, 8, 8]"),
        (
            {"family": "cnn", "channels": [2, 2, 2, 2]},
            (1, 8, 8),
            "an image of at least 16×16 for 4 blocks of model.channels, came 8×8",
        ),
        (
            {"family": "cnn", "channels": [2, 2]},
            (1, 8, 3),
            "an image of at least 4×4 for 2 blocks of model.channels, came 8×3",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused(model: dict[str, Any], row_shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        network(model, row_shape)
    assert str(caught.value) == f"data.shape: expected {message}"
