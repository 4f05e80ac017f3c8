"""A perceptron's gradients by formula are autograd's; what is no plain perceptron is left to autograd."""

import pytest
import torch
from torch import Tensor, nn

from pipelines.models.network import build_network
from pipelines.spec.model import Mlp
from pipelines.spec_file import build_spec
from pipelines.training.gradients import Autograd, Backpropagation, Gradients, gradients_of
from pipelines.training.objective import build_objective

SPEC = build_spec({})
OBJECTIVE = build_objective(SPEC, None, torch.device("cpu"))


def network(**model: object) -> nn.Module:
    return build_network(Mlp.model_validate({"hidden": [7, 5]} | model), (2, 3), 4, 0)


def gradient(of: nn.Module, way: Gradients) -> tuple[list[Tensor | None], list[Tensor]]:
    """After another update, of two chunks of one update; and what the network put out for them."""
    generator = torch.Generator().manual_seed(1)
    for chunks in ((6,), (6, 3)):
        rows = [(torch.randn(size, 2, 3, generator=generator), torch.arange(size) % 4) for size in chunks]
        way.clear()
        outputs = [way.add((features,), classes, 1 / 9) for features, classes in rows]
    return [parameter.grad for parameter in of.parameters()], outputs


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_formulas_and_autograd_agree(activation: str) -> None:
    perceptron = network(activation=activation)
    by_formula = gradients_of(perceptron, OBJECTIVE)
    assert isinstance(by_formula, Backpropagation)
    came = gradient(perceptron, by_formula)
    torch.testing.assert_close(came, gradient(perceptron, Autograd(perceptron, OBJECTIVE)))


@pytest.mark.parametrize("model", [{"norm": "batch"}, {"norm": "layer"}, {"dropout": 0.5}, {"activation": "gelu"}])
def test_other_networks_are_left_to_autograd(model: dict[str, object]) -> None:
    assert isinstance(gradients_of(network(**model), OBJECTIVE), Autograd)


def test_a_network_with_hooks_is_left_to_autograd() -> None:
    perceptron = network()
    perceptron.get_submodule("0").register_forward_hook(lambda *_: None)
    assert isinstance(gradients_of(perceptron, OBJECTIVE), Autograd)
