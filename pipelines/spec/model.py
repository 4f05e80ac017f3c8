"""The network, one family a section."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.spec.section import Section, mismatch

Activation = Literal["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu"]

Norm = Literal["none", "batch", "layer"]

Pooling = Literal["max", "average"]

GlobalPooling = Literal["none", "average", "max"]

Width = Annotated[int, Field(ge=1, le=65_536)]

Dropout = Annotated[float, Field(ge=0, lt=1)]


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise mismatch("", "an odd number", str(side))
    return side


KernelSize = Annotated[int, Field(ge=1, le=31), AfterValidator(_odd)]


class Mlp(Section):
    """A multilayer perceptron over the row's values."""

    family: Literal["mlp"] = "mlp"
    """Kind of network."""
    hidden: tuple[Width, ...] = Field(default=(64, 32), max_length=64)
    """Width of each hidden layer; an empty list gives a linear model."""
    activation: Activation = "relu"
    """Applied after each hidden layer."""
    norm: Norm = "none"
    """Before each activation: over the batch (Ioffe and Szegedy, 2015) or the layer's values (Ba et al., 2016)."""
    dropout: Dropout = 0.0
    """Share of each hidden layer's values that is dropped in training."""


class Block(Section):
    """One block of a convolutional network: convolution, norm, activation, pooling."""

    channels: Width = 32
    """Channels that the block puts out."""
    kernel_size: KernelSize = 3
    """Side of the convolution window, odd, so that padding keeps the size."""
    stride: int = Field(default=1, ge=1, le=16)
    """Step of the convolution window."""
    pool: int = Field(default=2, ge=1, le=16)
    """Side of the pooling window, which is also its step; 1 for none."""
    pooling: Pooling = "max"
    """What a window becomes: its largest value, or the mean of its values."""
    residual: bool = False
    """Two convolutions with a shortcut around them (He et al., 2016) in place of one."""


class Cnn(Section):
    """Blocks of convolution over images (channels, height, width), series (time, features) or texts."""

    family: Literal["cnn"]
    """Kind of network."""
    channels: tuple[Width, ...] = Field(default=(16, 32), min_length=1, max_length=16)
    """Channels that each block puts out."""
    kernel_size: KernelSize = 3
    """Side of the convolution window, odd, so that padding keeps the size."""
    blocks: tuple[Block, ...] = Field(default=(), max_length=64)
    """The blocks in full, in place of `channels` and `kernel_size`."""
    norm: Norm = "none"
    """Before each activation: over the batch, or over the channels of each position."""
    global_pooling: GlobalPooling = "none"
    """One value a channel, its mean or its largest, before the dense layers; for series this makes any length fit."""
    hidden: tuple[Width, ...] = Field(default=(64,), max_length=64)
    """Width of each dense layer after the blocks."""
    activation: Activation = "relu"
    """Applied after each convolution and each dense layer."""
    dropout: Dropout = 0.0
    """Share of each block's and each dense layer's values that is dropped in training."""
    embedding_size: Width = 64
    """Size of the vector that stands for a token; texts only."""

    @property
    def stack(self) -> tuple[Block, ...]:
        """The blocks, whichever way they were given."""
        plain = (Block(channels=channels, kernel_size=self.kernel_size) for channels in self.channels)
        return self.blocks or tuple(plain)

    @model_validator(mode="after")
    def _blocks_stand_alone(self) -> Self:
        for field in ("channels", "kernel_size") if self.blocks else ():
            if getattr(self, field) != type(self).model_fields[field].default:
                raise mismatch(field, "nothing beside blocks, each of which has its own", repr(getattr(self, field)))
        return self


class Rnn(Section):
    """A recurrent network over series (time, features) or texts; its last state is classified or regressed."""

    family: Literal["rnn"]
    """Kind of network."""
    cell: Literal["vanilla", "lstm", "gru"] = "gru"
    """Kind of recurrent layer."""
    hidden_size: Width = 64
    """Size of the state."""
    layers: int = Field(default=1, ge=1, le=16)
    """Recurrent layers on top of each other."""
    bidirectional: bool = False
    """Each layer also reads the series from its end; the states of both directions are put side by side."""
    dropout: Dropout = 0.0
    """Share of the values between two layers that is dropped in training."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Inside a vanilla cell; LSTM and GRU have their own."""
    embedding_size: Width = 64
    """Size of the vector that stands for a token; texts only."""

    @model_validator(mode="after")
    def _dropout_has_a_place(self) -> Self:
        if self.dropout and self.layers == 1:
            raise mismatch("layers", "at least 2 where dropout is more than 0, as it is between layers", "1")
        return self

    @model_validator(mode="after")
    def _cell_takes_the_activation(self) -> Self:
        if self.activation != "tanh" and self.cell != "vanilla":
            raise mismatch("activation", f"none with the cell {self.cell}, which has its own", repr(self.activation))
        return self


Model = Annotated[Mlp | Cnn | Rnn, Field(discriminator="family")]
