"""What training minimises."""

from typing import Annotated, Literal

from pydantic import Field

from pipelines.spec.section import Section

Task = Literal["classification", "regression"]

Label = Annotated[str, Field(coerce_numbers_to_str=True)]

ClassWeight = Annotated[float, Field(gt=0, le=1e6)]


class _ClassLoss(Section):
    name: str
    class_weights: Literal["balanced"] | dict[Label, ClassWeight] | None = None
    """Factor of a row's loss by its label, 1 for labels left out; `balanced`: rows / (classes × rows of the class)."""


class CrossEntropy(_ClassLoss):
    """Classification: -log of the probability of the row's class."""

    name: Literal["cross_entropy"] = "cross_entropy"
    """Kind of loss."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share ε of the target that is spread evenly over all classes (Szegedy et al., 2016)."""


class BinaryCrossEntropy(_ClassLoss):
    """Classification of two classes by one logit: -log of the probability of the row's class."""

    name: Literal["binary_cross_entropy"]
    """Kind of loss."""


class MeanSquaredError(Section):
    """Regression: e², with e the error in standard deviations of the target."""

    name: Literal["mse"]
    """Kind of loss."""


class MeanAbsoluteError(Section):
    """Regression: |e|, with e the error in standard deviations of the target."""

    name: Literal["mae"]
    """Kind of loss."""


class Huber(Section):
    """Regression (Huber, 1964): e²/2 up to δ, δ(|e| - δ/2) beyond, with e in standard deviations of the target."""

    name: Literal["huber"]
    """Kind of loss."""
    delta: float = Field(default=1.0, gt=0, le=1e6)
    """δ, from which on the loss grows linearly."""


Loss = Annotated[
    CrossEntropy | BinaryCrossEntropy | MeanSquaredError | MeanAbsoluteError | Huber, Field(discriminator="name")
]


class Regularization(Section):
    """Penalties on the weights, not on biases, added to the loss."""

    l1: float = Field(default=0.0, ge=0, le=1e6)
    """λ of λ‖w‖₁."""
    l2: float = Field(default=0.0, ge=0, le=1e6)
    """λ of (λ/2)‖w‖²."""
