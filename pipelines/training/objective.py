"""What training minimises: the data term, averaged over rows, plus penalties on the weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.errors import DataError
from pipelines.spec.objective import (
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Regularization,
)
from pipelines.spec.training_spec import TrainingSpec


@dataclass(frozen=True)
class Objective:
    """J(w) = mean over rows of c · loss(row, w) + λ₁‖w‖₁ + (λ₂/2)‖w‖², with c the weight of the row's class, if any."""

    loss: Loss
    regularization: Regularization
    class_weights: Tensor | None = None
    """(C,)"""

    def per_row(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The data term of each row: logits (B, C) and classes (B,), or quantities (B, *) and (B,) or (B, *) → (B,).

        cross_entropy: -log p[target] with p = softmax(outputs); with smoothing ε, that times 1 - ε, plus ε times the
        mean of -log p over the classes. binary_cross_entropy: the same of two classes, whose logit is the difference
        of the two outputs. With e = output - target, as the mean over a row's outputs, mse: e²; mae: |e|;
        huber: e²/2 where |e| ≤ δ, else δ(|e| - δ/2).
        """
        losses = self._losses(outputs, targets)
        return losses if self.class_weights is None else losses * self.class_weights.to(losses)[targets]

    def derivative(self, outputs: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Of scale · Σ per_row(outputs, targets) by the outputs, of their shape and without a graph.

        cross_entropy: p - (1 - ε) 1[target] - ε / C with C classes; binary_cross_entropy: ∓(σ(z) - target) for the
        logit z = output₁ - output₀; as the mean over a row's outputs, mse: 2e; mae: sign(e); huber: e cut to ±δ.
        """
        slopes = self._slopes(outputs.detach(), targets)
        if self.class_weights is None:
            return slopes.mul_(scale)
        return slopes.mul_((scale * self.class_weights.to(slopes))[targets][:, None])

    def penalty(self, network: nn.Module) -> Tensor:
        """λ₁‖w‖₁ + (λ₂/2)‖w‖² over the weights: matrices and kernels, neither biases nor norm parameters."""
        weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
        total = torch.zeros((), device=weights[0].device)
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

    def _losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = self.loss
        match loss:
            case CrossEntropy():
                smoothing = loss.label_smoothing
                return functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)
            case BinaryCrossEntropy():
                logits = outputs[:, 1] - outputs[:, 0]
                return functional.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none")
            case MeanSquaredError():
                errors = (outputs - targets.view_as(outputs)).square()
            case MeanAbsoluteError():
                errors = (outputs - targets.view_as(outputs)).abs()
            case Huber():
                errors = functional.huber_loss(outputs, targets.view_as(outputs), reduction="none", delta=loss.delta)
        return errors.flatten(1).mean(dim=1)

    def _slopes(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = self.loss
        match loss:
            case CrossEntropy():
                slopes = torch.softmax(outputs, 1)
                slopes.scatter_(1, targets[:, None], loss.label_smoothing - 1.0, reduce="add")
                return slopes.sub_(loss.label_smoothing / outputs.shape[1]) if loss.label_smoothing else slopes
            case BinaryCrossEntropy():
                slope = torch.sigmoid(outputs[:, 1] - outputs[:, 0]).sub_(targets)
                return torch.stack([-slope, slope], dim=1)
        errors = outputs - targets.view_as(outputs)
        num_outputs = outputs[:1].numel() or 1
        match loss:
            case MeanSquaredError():
                return errors.mul_(2 / num_outputs)
            case MeanAbsoluteError():
                return errors.sign_().div_(num_outputs)
            case Huber():
                return errors.clamp_(-loss.delta, loss.delta).div_(num_outputs)


def build_objective(spec: TrainingSpec, class_weights: Sequence[float] | None, device: torch.device) -> Objective:
    """What a job minimises, with the weights (C,) of its classes, if any, on the device."""
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64, device=device)
    return Objective(spec.loss, spec.regularization, weights)


def class_weights(loss: Loss, labels: Sequence[str], rows: Sequence[int]) -> tuple[float, ...] | None:
    """The weight of each class, in the order of `labels`, as the spec's loss asks for; None if it asks for none.

    `rows` counts the training rows of each class. `balanced` is N / (C · Nᵢ), so that all classes weigh the same and
    the weights of all rows average to 1. Raises DataError for a label that the data does not have.
    """
    asked = loss.class_weights if isinstance(loss, CrossEntropy | BinaryCrossEntropy) else None
    if asked is None:
        return None
    if asked == "balanced":
        return tuple(sum(rows) / (len(rows) * max(count, 1)) for count in rows)  # no rows, no matter
    for label in asked:
        if label not in labels:
            raise DataError("loss.class_weights", f"labels among {', '.join(labels)}", repr(label))
    return tuple(asked.get(label, 1.0) for label in labels)
