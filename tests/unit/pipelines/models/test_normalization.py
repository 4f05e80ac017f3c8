"""Batch and layer norm against their formulas and torch's own; several workers are test_team.py's."""

import pytest
import torch
from torch import Tensor, nn

from pipelines.models.normalization import EPSILON, MOMENTUM, BatchNorm, ChannelNorm

SHAPES = [(6, 3), (6, 3, 5), (6, 3, 4, 5)]


def varied(*shape: int) -> Tensor:
    return torch.randn(*shape) * 3 + 7


def of_torch(shape: tuple[int, ...]) -> nn.Module:
    return {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](shape[1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_mask", [False, True])
def test_batch_norm_is_torchs_where_all_steps_count(shape: tuple[int, ...], with_mask: bool) -> None:
    ours, theirs = BatchNorm(shape[1]), of_torch(shape)
    ones = torch.ones(shape[0], 1, *shape[2:], dtype=torch.bool)
    for _ in range(3):
        x, y = varied(*shape).requires_grad_(), None
        y = x.detach().clone().requires_grad_()
        came, expected = ours(x, ones if with_mask else None), theirs(y)
        torch.testing.assert_close(came, expected, rtol=1e-4, atol=1e-5)
        upstream = torch.randn(*shape)
        torch.autograd.backward([came, expected], [upstream, upstream])
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-3, atol=1e-5)
    ours.eval()
    theirs.eval()
    x = varied(*shape)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)


def test_batch_norm_on_paper() -> None:
    # Values 1, 2, 6 of one channel: mean 3, variance (4 + 1 + 9)/3 = 14/3, unbiased 7
    norm = BatchNorm(1)
    came = norm(torch.tensor([[1.0], [2.0], [6.0]]))
    torch.testing.assert_close(came, torch.tensor([[-2.0], [-1.0], [3.0]]) / (14 / 3 + EPSILON) ** 0.5)
    assert norm.running_mean.item() == pytest.approx(3 * MOMENTUM)
    assert norm.running_var.item() == pytest.approx(1 - MOMENTUM + 7 * MOMENTUM)


def test_steps_that_do_not_count_change_nothing() -> None:
    lengths, x = torch.tensor([5, 2, 4]), varied(3, 2, 5)
    valid = (torch.arange(5) < lengths[:, None])[:, None]
    padded, bare = BatchNorm(2), BatchNorm(2)
    came = padded(x.masked_fill(~valid, 1e4), valid)
    steps = torch.cat([row[:, :length].T for row, length in zip(x, lengths, strict=True)])  # (11, 2)
    expected = bare(steps)
    torch.testing.assert_close(came.transpose(1, 2)[valid[:, 0]], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded.running_mean, bare.running_mean)
    torch.testing.assert_close(padded.running_var, bare.running_var)


def test_a_batch_of_one_row_is_no_error_and_tells_nothing() -> None:
    norm = BatchNorm(2)
    norm(varied(6, 2))
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    assert norm(torch.tensor([[5.0, -3.0]])).tolist() == [[0.0, 0.0]]
    assert torch.equal(norm.running_mean, mean)
    assert torch.equal(norm.running_var, variance)


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_is_over_the_channels_of_a_position(shape: tuple[int, ...]) -> None:
    x = varied(*shape)
    mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True, unbiased=False)
    torch.testing.assert_close(ChannelNorm(3)(x), (x - mean) / (variance + EPSILON).sqrt(), rtol=1e-4, atol=1e-5)
