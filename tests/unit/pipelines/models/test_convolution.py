"""A convolution block is the same however it is computed."""

import pytest
import torch

from pipelines.models.convolution import SeriesAverage
from pipelines.models.network import build_network
from pipelines.spec_file import build_spec


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"])
@pytest.mark.parametrize("row", [(3, 9, 8), (11, 2)])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_pooling_first_in_training_changes_nothing(activation: str, row: tuple[int, ...], pooling: str) -> None:
    blocks = [{"channels": channels, "pooling": pooling} for channels in (4, 5)]
    model = build_spec({"model": {"family": "cnn", "blocks": blocks, "hidden": [], "activation": activation}}).model
    network = build_network(model, row, 3, 0)
    x = torch.randn(6, *row, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(network.train()(x), network.eval()(x))


def test_the_mean_of_a_window_is_of_the_steps_that_there_are_and_count() -> None:
    x = torch.tensor([[[1.0, 3.0, 5.0, 7.0, 9.0]]])
    average = SeriesAverage(2)
    assert average(x).flatten().tolist() == [2, 6, 9]
    assert SeriesAverage(3)(x).flatten().tolist() == [3, 8]
    for length, expected in ((5, [2, 6, 9]), (3, [2, 5, 0]), (1, [1, 0, 0])):
        valid = (torch.arange(5) < length)[None, None]
        assert average(x, valid).flatten().tolist() == expected


def test_an_image_is_averaged_by_windows() -> None:
    block = {"channels": 1, "kernel_size": 1, "pooling": "average"}
    spec = build_spec({"model": {"family": "cnn", "blocks": [block], "hidden": [], "activation": "tanh"}})
    network, images = build_network(spec.model, (1, 4, 6), 1, 0), torch.randn(3, 1, 4, 6)
    kernel, shift, weight, bias = (parameter.detach() for parameter in network.parameters())
    values = (images * kernel + shift).tanh()
    means = values.reshape(3, 2, 2, 3, 2).mean(dim=(2, 4))
    torch.testing.assert_close(network(images), means.flatten(1) @ weight.T + bias)
