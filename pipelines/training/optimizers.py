"""From the spec's `optimizer` section to torch's."""

from collections.abc import Iterable

import torch
from torch import nn

from pipelines.spec.optimizer import Adagrad, Adam, GradientDescent, Optimizer, Sgd
from pipelines.training.lean_adam import LeanAdam


def build_optimizer(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The torch optimizer that a spec names; penalties are the objective's, so weight decay stays 0.

    With η the learning rate and g the gradient of the objective:
    gd and sgd: v ← μv + g, w ← w - ηv (gd and plain sgd have μ = 0; nesterov steps along g + μv);
    adagrad: s ← s + g², w ← w - ηg / (√s + ε);
    adam: m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - η m̂ / (√v̂ + ε), m̂ and v̂ corrected for their zero start.
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
        case Adam():
            return LeanAdam(
                parameters, lr=optimizer.learning_rate, betas=optimizer.betas, eps=optimizer.epsilon, fused=True
            )
