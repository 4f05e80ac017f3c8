"""The lean Adam's updates are torch's to the bit, whatever happens in between."""

from typing import Any

import pytest
import torch
from torch import nn

from pipelines.training.lean_adam import LeanAdam

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6},
    "decay": {"lr": 0.01, "weight_decay": 0.1},
    "decoupled": {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
}


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (3,), (2, 3), (2,))]


def give_gradients(of: list[nn.Parameter], step: int, *, skip: bool = False) -> None:
    generator = torch.Generator().manual_seed(step)
    for number, parameter in enumerate(of):
        grad = torch.randn(parameter.shape, generator=generator)
        parameter.grad = None if skip and number == 1 else grad


@pytest.mark.parametrize("kind", SETTINGS)
def test_updates_are_torchs(kind: str) -> None:
    ours, theirs = parameters(), parameters()
    lean = LeanAdam([{"params": ours[:2]}, {"params": ours[2:]}], fused=True, **SETTINGS[kind])
    usual = torch.optim.Adam([{"params": theirs[:2]}, {"params": theirs[2:]}], fused=True, **SETTINGS[kind])
    for step in range(8):
        for optimizer, of in ((lean, ours), (usual, theirs)):
            give_gradients(of, step, skip=step in (0, 4))
            for group in optimizer.param_groups:
                group["lr"] = 0.01 / (step + 1)  # as a schedule does
            optimizer.step()
        if step == 5:
            lean.load_state_dict(lean.state_dict())
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_closure_is_called() -> None:
    lean = LeanAdam(parameters(), fused=True)
    assert lean.step(lambda: 7.0) == 7.0
