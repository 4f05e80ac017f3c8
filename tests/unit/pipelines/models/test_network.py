"""Every family: shapes, first weights, what does not fit."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipelines.errors import DataError
from pipelines.models.network import build_network, takes_any_length
from pipelines.models.shapes import Outputs
from pipelines.spec_file import build_spec

Model = dict[str, Any]


def network(
    model: Model,
    row_shape: tuple[int, ...],
    outputs: Outputs = 3,
    seed: int = 0,
    vocabulary: int | None = None,
    one_logit: bool = False,
) -> nn.Module:
    section = build_spec({"model": model}).model
    return build_network(section, row_shape, outputs, seed, vocabulary=vocabulary, one_logit=one_logit)


RESIDUAL = [
    {"channels": 4, "residual": True, "pool": 1},
    {"channels": 6, "stride": 2, "kernel_size": 5, "residual": True},
]

AVERAGED = [{"channels": 4, "pooling": "average"}, {"channels": 5, "pooling": "average", "residual": True}]

FAMILIES: list[tuple[Model, tuple[int, ...]]] = [
    ({"family": "mlp", "hidden": [8, 4]}, (5,)),
    ({"family": "mlp", "hidden": []}, (5,)),
    ({"family": "mlp", "hidden": [8]}, (2, 3, 4)),
    ({"family": "mlp", "hidden": [8, 4], "norm": "layer", "dropout": 0.5}, (5,)),
    ({"family": "mlp", "hidden": [8], "norm": "batch"}, (5,)),
    ({"family": "cnn", "channels": [4], "kernel_size": 5}, (1, 8, 8)),
    ({"family": "cnn", "channels": [4, 6], "hidden": []}, (3, 9, 5)),
    ({"family": "cnn", "channels": [4, 6], "global_pooling": "average"}, (3, 9, 5)),
    ({"family": "cnn", "blocks": RESIDUAL, "norm": "batch", "global_pooling": "max"}, (3, 9, 5)),
    ({"family": "cnn", "channels": [4], "norm": "layer", "dropout": 0.2}, (3, 9, 5)),
    ({"family": "cnn", "channels": [4, 6]}, (9, 2)),
    ({"family": "cnn", "blocks": AVERAGED}, (3, 9, 5)),
    ({"family": "cnn", "blocks": AVERAGED}, (9, 2)),
    ({"family": "cnn", "blocks": RESIDUAL, "norm": "layer", "global_pooling": "max"}, (9, 2)),
    ({"family": "cnn", "blocks": RESIDUAL, "norm": "batch", "global_pooling": "average"}, (1, 2)),
    ({"family": "rnn", "cell": "vanilla", "hidden_size": 6}, (7, 2)),
    ({"family": "rnn", "cell": "lstm", "hidden_size": 6, "layers": 2}, (7, 2)),
    ({"family": "rnn", "cell": "gru", "hidden_size": 6, "layers": 3}, (1, 2)),
    ({"family": "rnn", "cell": "lstm", "hidden_size": 6, "bidirectional": True}, (7, 2)),
    ({"family": "rnn", "cell": "gru", "hidden_size": 6, "layers": 2, "bidirectional": True, "dropout": 0.3}, (7, 2)),
]


@pytest.mark.parametrize(("model", "row_shape"), FAMILIES)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_rows_go_in_and_one_value_an_output_comes_out(model: Model, row_shape: tuple[int, ...], rows: int) -> None:
    assert network(model, row_shape).eval()(torch.zeros(rows, *row_shape)).shape == (rows, 3)


@pytest.mark.parametrize(("model", "row_shape"), FAMILIES)
def test_a_row_does_not_see_its_neighbours(model: dict[str, Any], row_shape: tuple[int, ...]) -> None:
    net, rows = network(model, row_shape).eval(), torch.randn(4, *row_shape)
    torch.testing.assert_close(net(rows)[2:3], net(rows[2:3]))


def layers(net: nn.Module) -> list[str]:
    return [
        type(module).__name__
        for module in net.modules()
        if not list(module.children()) and not isinstance(module, nn.Sequential | nn.ModuleList)
    ]


def test_the_mlp_has_the_layers_of_its_spec() -> None:
    net = network({"family": "mlp", "hidden": [64, 32], "activation": "sigmoid"}, (20,), outputs=10)
    assert layers(net) == ["Flatten", "Linear", "Sigmoid", "Linear", "Sigmoid", "Linear"]
    assert [tuple(p.shape) for p in net.parameters() if p.dim() > 1] == [(64, 20), (32, 64), (10, 32)]


def test_the_cnn_has_the_layers_of_its_spec() -> None:
    net = network(
        {"family": "cnn", "channels": [4, 6], "kernel_size": 5, "hidden": [7], "activation": "tanh"}, (2, 8, 8)
    )
    assert layers(net) == ["Conv2d", "Tanh", "MaxPool2d"] * 2 + ["Linear", "Tanh", "Linear"]
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
            rows[:, step] @ parameters["recurrent.layers.weight_ih_l0"].T
            + parameters["recurrent.layers.bias_ih_l0"]
            + state @ parameters["recurrent.layers.weight_hh_l0"].T
            + parameters["recurrent.layers.bias_hh_l0"]
        )
    torch.testing.assert_close(net(rows), state @ parameters["head.weight"].T + parameters["head.bias"])


def fans(weight: Tensor) -> tuple[int, int]:
    window = math.prod(weight.shape[2:])
    return weight.shape[1] * window, weight.shape[0] * window


def bound(weight: Tensor, activation: str) -> float:
    """Of the uniform distribution: √(6 / ((1 + slope²) fan_in)) (He) for relu and its kin, else Glorot's."""
    fan_in, fan_out = fans(weight)
    if activation in ("relu", "leaky_relu", "gelu", "silu"):
        return math.sqrt(6 / fan_in / (1 + (0.01**2 if activation == "leaky_relu" else 0)))
    return {"tanh": 5 / 3, "sigmoid": 1.0, "linear": 1.0}[activation] * math.sqrt(6 / (fan_in + fan_out))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid"])
@pytest.mark.parametrize(
    ("model", "row_shape"),
    [
        ({"family": "mlp", "hidden": [200, 120]}, (100,)),
        ({"family": "cnn", "channels": [60], "hidden": [90]}, (12, 8, 8)),
        ({"family": "cnn", "channels": [60], "hidden": [90]}, (30, 60)),
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


@pytest.mark.parametrize(
    ("cell", "activation", "gates"),
    [("vanilla", "tanh", 1), ("vanilla", "relu", 1), ("lstm", "tanh", 4), ("gru", "tanh", 3)],
)
def test_first_weights_of_recurrent_layers_are_drawn_gate_by_gate(cell: str, activation: str, gates: int) -> None:
    model = {"family": "rnn", "cell": cell, "activation": activation, "hidden_size": 80, "layers": 2}
    net = network(model | {"bidirectional": True}, (7, 60))
    parameters = [(name, each.detach()) for name, each in net.named_parameters() if name.startswith("recurrent.")]
    assert len(parameters) == 4 * 4
    for name, parameter in parameters:
        parts = parameter.chunk(gates)
        assert all(len(part) == 80 for part in parts)
        for gate, part in enumerate(parts):
            if "weight_hh" in name:
                torch.testing.assert_close(part @ part.T, torch.eye(80), atol=1e-5, rtol=0)
            elif "weight_ih" in name:
                expected = bound(part, "relu" if activation == "relu" else "linear")
                assert part.abs().max().item() == pytest.approx(expected, rel=0.01)
                assert part.std().item() == pytest.approx(expected / math.sqrt(3), rel=0.05)
            else:
                open_at_first = cell == "lstm" and gate == 1 and "bias_ih" in name
                assert torch.equal(part, torch.full((80,), float(open_at_first)))


def test_a_word_that_training_never_sees_speaks_for_nothing() -> None:
    net = network({"family": "rnn", "embedding_size": 50}, (7,), vocabulary=200)
    vectors = next(parameter for name, parameter in net.named_parameters() if name == "embedding.weight").detach()
    assert not vectors[:2].any()
    assert vectors[2:].std().item() == pytest.approx(1, rel=0.05)


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
        ({"family": "cnn"}, (64,), "[channels, height, width] or [time, features] for model.family cnn, came [64]"),
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
        (
            {"family": "cnn", "blocks": [{"stride": 2, "pool": 1}, {"stride": 2, "pool": 3}]},
            (1, 8, 8),
            "an image of at least 9×9 for 2 blocks of model.blocks, came 8×8",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused(model: dict[str, Any], row_shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError) as caught:
        network(model, row_shape)
    assert str(caught.value) == f"data.shape: expected {message}"


@pytest.mark.parametrize(
    ("model", "row_shape", "any_length"),
    [
        ({"family": "mlp"}, (6, 2), False),
        ({"family": "cnn"}, (6, 2), False),
        ({"family": "cnn", "global_pooling": "max"}, (6, 2), True),
        ({"family": "cnn", "global_pooling": "max"}, (1, 8, 8), False),
        ({"family": "rnn"}, (6, 2), True),
    ],
)
def test_what_takes_series_of_any_length(model: Model, row_shape: tuple[int, ...], any_length: bool) -> None:
    assert takes_any_length(network(model, row_shape)) == any_length


SERIES: list[Model] = [
    {"family": "rnn", "cell": "vanilla", "hidden_size": 6, "layers": 2},
    {"family": "rnn", "cell": "lstm", "hidden_size": 6, "layers": 2, "bidirectional": True},
    {"family": "rnn", "cell": "gru", "hidden_size": 6, "bidirectional": True},
    {"family": "cnn", "channels": [5, 4], "global_pooling": "average"},
    {"family": "cnn", "channels": [5, 4], "global_pooling": "max", "norm": "layer", "activation": "sigmoid"},
    {"family": "cnn", "blocks": RESIDUAL, "global_pooling": "max", "norm": "batch"},
    {"family": "cnn", "blocks": [{"pool": 3}, {"stride": 3, "kernel_size": 5}], "global_pooling": "average"},
    {"family": "cnn", "blocks": AVERAGED, "global_pooling": "average"},
    {"family": "cnn", "blocks": [{"pool": 3, "pooling": "average"}], "global_pooling": "max", "activation": "sigmoid"},
]


@pytest.mark.parametrize("model", SERIES)
@pytest.mark.parametrize("vocabulary", [None, 9])
def test_padding_changes_nothing(model: Model, vocabulary: int | None) -> None:
    net = network(model, (7,) if vocabulary else (7, 2), vocabulary=vocabulary).eval()
    rows = torch.randint(9, (5, 12)) if vocabulary else torch.randn(5, 12, 2)
    lengths = torch.tensor([12, 1, 7, 2, 11])
    answers = net(rows, lengths)
    for row, length, answer in zip(rows, lengths, answers, strict=True):
        torch.testing.assert_close(net(row[None, :length])[0], answer, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net(rows, torch.full((5,), 12)), net(rows))


@pytest.mark.parametrize("model", SERIES)
def test_padding_changes_no_gradient(model: Model) -> None:
    rows, lengths = torch.randn(4, 9, 2), torch.tensor([3, 9, 1, 6])
    gradients = []
    for padding in (0.0, 1e3):
        for row, length in zip(rows, lengths, strict=True):
            row[length:] = padding
        net = network(model, (9, 2))
        net(rows, lengths).square().sum().backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other)


def test_no_rows_have_no_lengths_to_pack() -> None:
    net = network({"family": "rnn", "bidirectional": True}, (7, 2))
    assert net(torch.zeros(0, 7, 2), torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


def test_both_directions_are_read_to_their_ends() -> None:
    model = {"family": "rnn", "cell": "vanilla", "hidden_size": 4, "bidirectional": True}
    net = network(model, (6, 2))
    parameters = {name.removeprefix("recurrent.layers."): weight.detach() for name, weight in net.named_parameters()}
    rows, states = torch.randn(3, 6, 2), []
    for suffix, steps in (("l0", range(6)), ("l0_reverse", reversed(range(6)))):
        state = torch.zeros(3, 4)
        for step in steps:
            state = torch.tanh(
                rows[:, step] @ parameters[f"weight_ih_{suffix}"].T
                + parameters[f"bias_ih_{suffix}"]
                + state @ parameters[f"weight_hh_{suffix}"].T
                + parameters[f"bias_hh_{suffix}"]
            )
        states.append(state)
    expected = torch.cat(states, dim=1) @ parameters["head.weight"].T + parameters["head.bias"]
    torch.testing.assert_close(net(rows), expected)


@pytest.mark.parametrize(
    ("model", "row_shape"),
    [
        ({"family": "mlp"}, (6, 2)),
        ({"family": "cnn"}, (6, 2)),
        ({"family": "cnn"}, (1, 8, 8)),
        ({"family": "rnn"}, (6, 2)),
    ],
)
def test_a_forecast_is_steps_of_variables(model: Model, row_shape: tuple[int, ...]) -> None:
    assert network(model, row_shape, outputs=(5, 2))(torch.zeros(3, *row_shape)).shape == (3, 5, 2)


@pytest.mark.parametrize(
    ("model", "row_shape"), [({"family": "mlp"}, (6,)), ({"family": "cnn"}, (1, 8, 8)), ({"family": "rnn"}, (6, 2))]
)
def test_one_logit_stands_for_two_classes(model: Model, row_shape: tuple[int, ...]) -> None:
    net, rows = network(model, row_shape, outputs=2, one_logit=True), torch.randn(4, *row_shape)
    logits = net(rows)
    assert not logits[:, 0].any()
    torch.testing.assert_close(logits.softmax(dim=1)[:, 1], logits[:, 1].sigmoid())
    assert [parameter.shape[0] for parameter in net.parameters()][-1] == 1


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ({"family": "mlp"}, {"vocabulary": 9}, "model.family: expected rnn or cnn for texts, came 'mlp'"),
        (
            {"family": "cnn"},
            {"vocabulary": 9},
            "model.global_pooling: expected max or average for texts, whose lengths differ, came 'none'",
        ),
        (
            {"family": "mlp"},
            {"one_logit": True},
            "loss.name: expected cross_entropy (binary_cross_entropy is for two classes), came 3 classes",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(model: Model, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        network(model, (6,), **options)
    assert str(caught.value) == message


def test_dropout_drops_in_training_only() -> None:
    net = network({"family": "mlp", "hidden": [50], "dropout": 0.5}, (5,))
    rows = torch.randn(4, 5)
    assert not torch.equal(net(rows), net(rows))
    assert torch.equal(net.eval()(rows), net(rows))


def test_a_residual_block_is_two_convolutions_and_a_shortcut() -> None:
    model = {
        "family": "cnn",
        "blocks": [{"channels": 2, "residual": True, "pool": 1}],
        "hidden": [],
        "activation": "tanh",
    }
    net, images = network(model, (2, 5, 5), outputs=1), torch.randn(3, 2, 5, 5)
    first, first_bias, second, second_bias, weight, bias = (parameter.detach() for parameter in net.parameters())
    inner = nn.functional.conv2d(images, first, first_bias, padding=1).tanh()
    outer = (nn.functional.conv2d(inner, second, second_bias, padding=1) + images).tanh()
    torch.testing.assert_close(net(images), outer.flatten(1) @ weight.T + bias)
