"""The network, one family a section."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.spec.section import Section, mismatch

Activation = Literal["sigmoid", "tanh", "relu"]

Width = Annotated[int, Field(ge=1, le=65_536)]


class Mlp(Section):
    """A multilayer perceptron over the row's values."""

    family: Literal["mlp"] = "mlp"
    """Kind of network."""
    hidden: tuple[Width, ...] = Field(default=(64, 32), max_length=64)
    """Width of each hidden layer; an empty list gives a linear model."""
    activation: Activation = "relu"
    """Applied after each hidden layer."""


class Cnn(Section):
    """Blocks of convolution, activation and 2×2 max pooling over rows shaped (channels, height, width)."""

    family: Literal["cnn"]
    """Kind of network."""
    channels: tuple[Width, ...] = Field(default=(16, 32), min_length=1, max_length=16)
    """Channels that each block puts out."""
    kernel_size: int = Field(default=3, ge=1, le=31)
    """Side of the convolution window, odd, so that padding keeps the image's size."""
    hidden: tuple[Width, ...] = Field(default=(64,), max_length=64)
    """Width of each dense layer after the blocks."""
    activation: Activation = "relu"
    """Applied after each convolution and each dense layer."""

    @model_validator(mode="after")
    def _odd_kernel(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise mismatch("kernel_size", "an odd number", str(self.kernel_size))
        return self


class Rnn(Section):
    """A recurrent network over rows shaped (time, features); its last state is classified or regressed."""

    family: Literal["rnn"]
    """Kind of network."""
    cell: Literal["vanilla", "lstm", "gru"] = "gru"
    """Kind of recurrent layer."""
    hidden_size: Width = 64
    """Size of the state."""
    layers: int = Field(default=1, ge=1, le=16)
    """Recurrent layers on top of each other."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Inside a vanilla cell; LSTM and GRU have their own."""


Model = Annotated[Mlp | Cnn | Rnn, Field(discriminator="family")]
