"""How the weights are updated."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.spec.section import Section, mismatch

LearningRate = Annotated[float, Field(gt=0, le=100)]


class Adam(Section):
    """Adaptive moment estimation (Kingma and Ba, 2015)."""

    name: Literal["adam"] = "adam"
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.001
    """Step size η."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    epsilon: float = Field(default=1e-8, gt=0, le=1)
    """Keeps the division finite."""


class Adagrad(Section):
    """Adaptive subgradient method (Duchi, Hazan and Singer, 2011)."""

    name: Literal["adagrad"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.01
    """Step size η."""
    epsilon: float = Field(default=1e-10, gt=0, le=1)
    """Keeps the division finite."""


class Sgd(Section):
    """Stochastic gradient descent: one update a batch."""

    name: Literal["sgd"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.01
    """Step size η."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Share of the last update that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum before measuring the gradient."""

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise mismatch("momentum", "more than 0 where nesterov is true", "0.0")
        return self


class GradientDescent(Section):
    """Gradient descent: one update an epoch, from the whole training set; `training.batch_size` bounds memory only."""

    name: Literal["gd"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.1
    """Step size η."""


Optimizer = Annotated[Adam | Adagrad | Sgd | GradientDescent, Field(discriminator="name")]
