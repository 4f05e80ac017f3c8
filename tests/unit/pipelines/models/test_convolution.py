"""A convolution block is the same however it is computed."""

import pytest
import torch

from pipelines.models.network import build_network
from pipelines.spec_file import build_spec


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"])
@pytest.mark.parametrize("row", [(3, 9, 8), (11, 2)])
def test_pooling_first_in_training_changes_nothing(activation: str, row: tuple[int, ...]) -> None:
    model = build_spec({"model": {"family": "cnn", "channels": [4, 5], "hidden": [], "activation": activation}}).model
    network = build_network(model, row, 3, 0)
    x = torch.randn(6, *row, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.train()(x), network.eval()(x))
