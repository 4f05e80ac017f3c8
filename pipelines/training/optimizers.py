"""From the spec's `optimizer` section to torch's."""

from collections.abc import Iterable

import torch
from torch import nn

from pipelines.spec.optimizer import Adagrad, Adam, AdamW, GradientDescent, Optimizer, RmsProp, Sgd
from pipelines.training.lean_adam import LeanAdam


def build_optimizer(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The torch optimizer that a spec names; penalties are the objective's, so only `adamw` decays weights itself.

    With η the learning rate and g the gradient of the objective:
    gd and sgd: v ← μv + g, w ← w - ηv (gd and plain sgd have μ = 0; nesterov steps along g + μv);
    adagrad: s ← s + g², w ← w - ηg / (√s + ε); rmsprop: s ← αs + (1-α)g², w ← w - ηg / (√s + ε);
    adam: m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - η m̂ / (√v̂ + ε), m̂ and v̂ corrected for their zero start;
    adamw: w ← w - ηλw, then as adam.
    """
    match optimizer:
        case GradientDescent():
            return torch.optim.SGD(parameters, lr=optimizer.learning_rate)
        case Sgd():
            return torch.optim.SGD(
                parameters, lr=optimizer.learning_rate, momentum=optimizer.momentum, nesterov=optimizer.nesterov
            )
        case Adagrad():
            return torch.optim.Adagrad(parameters, lr=optimizer.learning_rate, eps=optimizer.epsilon)
        case RmsProp():
            return torch.optim.RMSprop(
                parameters, lr=optimizer.learning_rate, alpha=optimizer.decay, eps=optimizer.epsilon
            )
        case Adam():
            return LeanAdam(
                parameters, lr=optimizer.learning_rate, betas=optimizer.betas, eps=optimizer.epsilon, fused=True
            )
        case AdamW():
            return LeanAdam(
                _decayed_apart(parameters, optimizer.weight_decay),
                lr=optimizer.learning_rate,
                betas=optimizer.betas,
                eps=optimizer.epsilon,
                decoupled_weight_decay=True,
                fused=True,
            )


def clip(optimizer: Optimizer, network: nn.Module) -> None:
    """Shorten the gradient g of all parameters to `clip_norm` c where longer: g ← g · min(1, c / (‖g‖₂ + 1e-6))."""
    if optimizer.clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), optimizer.clip_norm)


def _decayed_apart(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    """Weights decay; biases and norm parameters do not."""
    every = list(parameters)
    weights, others = [p for p in every if p.dim() > 1], [p for p in every if p.dim() <= 1]
    return [{"params": weights, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
