"""What training minimises."""

from typing import Literal

from pydantic import Field

from pipelines.spec.section import Section

Task = Literal["classification", "regression"]


class Loss(Section):
    """What is minimised; it also says whether the target is a class or a quantity."""

    name: Literal["cross_entropy", "mse"] = "cross_entropy"
    """cross_entropy for classification, mse (mean squared error) for regression."""


class Regularization(Section):
    """Penalties on the weights, not on biases, added to the loss."""

    l1: float = Field(default=0.0, ge=0, le=1e6)
    """λ of λ‖w‖₁."""
    l2: float = Field(default=0.0, ge=0, le=1e6)
    """λ of (λ/2)‖w‖²."""
