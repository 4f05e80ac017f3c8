"""What training minimises: the data term, averaged over rows, plus penalties on the weights."""

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
        """The data term of each row: outputs (B, *), targets (B,) or (B, *) → (B,).

        cross_entropy: -log softmax(outputs)[target]. mse: the mean over the K outputs of (output - target)².
        """
        if self.loss.name == "cross_entropy":
            return functional.cross_entropy(outputs, targets, reduction="none")
        return (outputs - targets.view_as(outputs)).square().flatten(1).mean(dim=1)

    def penalty(self, network: nn.Module) -> Tensor:
        """λ₁‖w‖₁ + (λ₂/2)‖w‖² over the weights: matrices and kernels, neither biases nor norm parameters."""
        weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
        total = torch.zeros((), device=weights[0].device)
        if self.regularization.l1:
            total = total + self.regularization.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
        if self.regularization.l2:
            total = total + self.regularization.l2 / 2 * torch.stack([w.square().sum() for w in weights]).sum()
        return total
