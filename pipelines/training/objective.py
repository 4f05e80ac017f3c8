"""What training minimises: the data term, averaged over rows, plus penalties on the weights."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.spec.objective import Loss, Regularization


@dataclass(frozen=True)
class Objective:
    """J(w) = mean over rows of loss(row, w) + λ₁‖w‖₁ + (λ₂/2)‖w‖²."""

    loss: Loss
    regularization: Regularization

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The data term of each row: outputs (B, K), targets (B,) → (B,).

        cross_entropy: -log softmax(outputs)[target]. mse: the mean over the K outputs of (output - target)².
        """
        if self.loss.name == "cross_entropy":
            return functional.cross_entropy(outputs, targets, reduction="none")
        return (outputs - targets[:, None]).square().mean(dim=1)

    def penalty(self, network: nn.Module) -> Tensor:
        """λ₁‖w‖₁ + (λ₂/2)‖w‖² over the weights: matrices and kernels, neither biases nor norm parameters."""
        weights = self.penalised(network)
        total = torch.zeros((), device=next(network.parameters()).device)
        if self.regularization.l1:
            total = total + self.regularization.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
        if self.regularization.l2:
            total = total + self.regularization.l2 / 2 * torch.stack([w.square().sum() for w in weights]).sum()
        return total

    def penalised(self, network: nn.Module) -> list[nn.Parameter]:
        """The weights that penalties hold for; none where there is no penalty."""
        if not (self.regularization.l1 or self.regularization.l2):
            return []
        return [parameter for parameter in network.parameters() if parameter.dim() > 1]

    def add_penalty_gradient(self, penalised: Iterable[nn.Parameter]) -> None:
        """Add λ₁ sign(w) + λ₂w to the gradients of weights: what a backward pass through `penalty` would add."""
        with torch.no_grad():
            for weight in penalised:
                if weight.grad is None:
                    continue
                if self.regularization.l1:
                    weight.grad.add_(weight.sign(), alpha=self.regularization.l1)
                if self.regularization.l2:
                    weight.grad.add_(weight, alpha=self.regularization.l2)
