"""How the weights are updated, and how the step size changes on the way."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.spec.section import Section, mismatch

LearningRate = Annotated[float, Field(gt=0, le=100)]

Decay = Annotated[float, Field(ge=0, lt=1)]

Epsilon = Annotated[float, Field(gt=0, le=1)]


class _Optimizer(Section):
    # Subclasses give these their kinds and defaults; the order here is the order in which specs are written.
    name: str
    learning_rate: LearningRate
    clip_norm: float | None = Field(default=None, gt=0, le=1e6)
    """Longest gradient, all weights taken together; a longer one is shortened to it. Off by default."""


class Adam(_Optimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015)."""

    name: Literal["adam"] = "adam"
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.001
    """Step size η."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    epsilon: Epsilon = 1e-8
    """Keeps the division finite."""


class AdamW(_Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    name: Literal["adamw"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.001
    """Step size η."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    epsilon: Epsilon = 1e-8
    """Keeps the division finite."""
    weight_decay: float = Field(default=0.01, ge=0, le=100)
    """λ: each update also takes ηλw from a weight w; biases and norm parameters are left out."""


class Adagrad(_Optimizer):
    """Adaptive subgradient method (Duchi, Hazan and Singer, 2011)."""

    name: Literal["adagrad"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.01
    """Step size η."""
    epsilon: Epsilon = 1e-10
    """Keeps the division finite."""


class RmsProp(_Optimizer):
    """Gradient divided by a running mean of its size (Tieleman and Hinton, 2012)."""

    name: Literal["rmsprop"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.001
    """Step size η."""
    decay: Decay = 0.9
    """Decay of the running mean of the gradient's square."""
    epsilon: Epsilon = 1e-8
    """Keeps the division finite."""


class Sgd(_Optimizer):
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


class GradientDescent(_Optimizer):
    """Gradient descent: one update an epoch, from the whole training set; `training.batch_size` bounds memory only."""

    name: Literal["gd"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.1
    """Step size η."""


Optimizer = Annotated[Adam | AdamW | Adagrad | RmsProp | Sgd | GradientDescent, Field(discriminator="name")]


class _Schedule(Section):
    name: str
    warmup_epochs: float = Field(default=0.0, ge=0, le=1_000_000)
    """Over these first epochs the learning rate also grows linearly, an update at a time, to its full value."""


class Constant(_Schedule):
    """The learning rate stays; with `warmup_epochs`, after it has been reached."""

    name: Literal["constant"] = "constant"
    """Kind of schedule."""


class Step(_Schedule):
    """The learning rate falls to a share of itself each time some epochs have passed."""

    name: Literal["step"]
    """Kind of schedule."""
    every: int = Field(default=10, ge=1, le=1_000_000)
    """Epochs from one fall to the next."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Share of the learning rate that remains after a fall."""


class Cosine(_Schedule):
    """After the warmup half a cosine wave down to the last of `training.epochs` (Loshchilov and Hutter, 2017)."""

    name: Literal["cosine"]
    """Kind of schedule."""
    final: float = Field(default=0.0, ge=0, lt=1)
    """Share of the learning rate that the wave goes down to."""


class ReduceOnPlateau(_Schedule):
    """The learning rate falls to a share of itself when the validation loss has not improved for a while."""

    name: Literal["reduce_on_plateau"]
    """Kind of schedule."""
    patience: int = Field(default=5, ge=1, le=100_000)
    """Epochs without improvement before the rate falls."""
    factor: float = Field(default=0.1, gt=0, lt=1)
    """Share of the learning rate that remains after a fall."""
    min_delta: float = Field(default=0.0, ge=0, le=1e6)
    """Smallest fall of the validation loss that counts as an improvement."""


Schedule = Annotated[Constant | Step | Cosine | ReduceOnPlateau, Field(discriminator="name")]
