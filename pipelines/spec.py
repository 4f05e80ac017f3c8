"""The training spec: one frozen model from which data, network, objective, workers and promotion follow.

Every field has a default, so the empty spec trains an MLP on the handwritten digits. `pipelines.spec_file` reads specs.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Task = Literal["classification", "regression"]
Activation = Literal["sigmoid", "tanh", "relu"]

REGRESSION_SETS = ("diabetes",)
"""The sets bundled with scikit-learn whose target is a quantity."""


def _mismatch(field: str, expected: str, came: str) -> PydanticCustomError:
    """What a cross-field rule raises: `field` is the one to change, by its path within the section."""
    context = {"field": field, "expected": expected, "came": came}
    return PydanticCustomError("mismatch", "{field}: expected {expected}, came {came}", context)


class Section(BaseModel):
    """What all parts of a spec share: immutable, unknown keys refused, infinities refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class Split(Section):
    """Shares of the rows for training, validation and test; they add up to 1."""

    train: float = Field(default=0.7, gt=0, lt=1)
    """Share that the weights are fitted on."""
    validation: float = Field(default=0.15, gt=0, lt=1)
    """Share that picks the best epoch and decides the promotion."""
    test: float = Field(default=0.15, gt=0, lt=1)
    """Share that is looked at once, at the end."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise _mismatch("", "train, validation and test that add up to 1", f"{total:g}")
        return self


class Source(Section):
    """What every source of rows has."""

    split: Split = Split()
    """How the rows are divided."""
    standardize: bool = True
    """Scale the features to mean 0 and standard deviation 1, as measured on the training rows."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1, max_length=3)
    """Shape of one row as the network sees it, such as [1, 8, 8]; by default as the source has it."""


class SklearnSource(Source):
    """A data set that ships with scikit-learn."""

    source: Literal["sklearn"] = "sklearn"
    """Kind of source."""
    dataset: Literal["breast_cancer", "diabetes", "digits", "iris", "wine"] = "digits"
    """Which of the bundled sets."""


class SyntheticSource(Source):
    """Normally distributed random rows; a random linear map of the features gives the target."""

    source: Literal["synthetic"]
    """Kind of source."""
    rows: int = Field(default=1000, ge=10, le=100_000_000)
    """How many rows."""
    features: int = Field(default=20, ge=1, le=100_000)
    """How many features a row has."""
    classes: int = Field(default=10, ge=2, le=10_000)
    """How many classes there are; regression ignores it."""


CONTENT_SCHEME = "sha256:"
"""What the address of uploaded content begins with; its SHA-256 in hexadecimal digits follows."""


def _whole_address(path: Path) -> Path:
    if str(path).startswith(CONTENT_SCHEME) and not re.fullmatch(f"{CONTENT_SCHEME}[0-9a-f]{{64}}", str(path)):
        raise _mismatch("", f"{CONTENT_SCHEME} and 64 hexadecimal digits, or a file", repr(str(path)))
    return path


DataPath = Annotated[Path, AfterValidator(_whole_address)]


class TableSource(Source):
    """A table whose columns have names."""

    path: DataPath
    """The file, absolute or relative to the working directory, or `sha256:HEX` for content uploaded to a service."""
    target: str = Field(default="target", min_length=1)
    """Column to predict."""
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns to predict from; by default all but the target."""

    @model_validator(mode="after")
    def _target_is_no_feature(self) -> Self:
        if self.features is not None and self.target in self.features:
            raise _mismatch("features", "columns without the target", f"{self.target!r} among them")
        if self.features is not None and len(set(self.features)) < len(self.features):
            raise _mismatch("features", "each column once", "a name that repeats")
        return self


class CsvSource(TableSource):
    """A CSV file with a header line."""

    source: Literal["csv"]
    """Kind of source."""


class ParquetSource(TableSource):
    """A Parquet file."""

    source: Literal["parquet"]
    """Kind of source."""


class NpzSource(Source):
    """A NumPy archive: one array of features, first axis the row, and one of targets."""

    source: Literal["npz"]
    """Kind of source."""
    path: DataPath
    """The file, absolute or relative to the working directory, or `sha256:HEX` for content uploaded to a service."""
    features: str = Field(default="features", min_length=1)
    """Name of the array with the features."""
    target: str = Field(default="target", min_length=1)
    """Name of the array with the target."""


Data = Annotated[SklearnSource | SyntheticSource | CsvSource | ParquetSource | NpzSource, Field(discriminator="source")]

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
            raise _mismatch("kernel_size", "an odd number", str(self.kernel_size))
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


class Loss(Section):
    """What is minimised; it also says whether the target is a class or a quantity."""

    name: Literal["cross_entropy", "mse"] = "cross_entropy"
    """cross_entropy for classification, mse (mean squared error) for regression."""


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
            raise _mismatch("momentum", "more than 0 where nesterov is true", "0.0")
        return self


class GradientDescent(Section):
    """Gradient descent: one update an epoch, from the whole training set; `training.batch_size` bounds memory only."""

    name: Literal["gd"]
    """Kind of optimizer."""
    learning_rate: LearningRate = 0.1
    """Step size η."""


Optimizer = Annotated[Adam | Adagrad | Sgd | GradientDescent, Field(discriminator="name")]


class Regularization(Section):
    """Penalties on the weights, not on biases, added to the loss."""

    l1: float = Field(default=0.0, ge=0, le=1e6)
    """λ of λ‖w‖₁."""
    l2: float = Field(default=0.0, ge=0, le=1e6)
    """λ of (λ/2)‖w‖²."""


class EarlyStopping(Section):
    """Stop when the validation loss has not improved for a while."""

    patience: int = Field(default=10, ge=1, le=100_000)
    """Epochs without improvement before training stops."""
    min_delta: float = Field(default=0.0, ge=0, le=1e6)
    """Smallest fall of the validation loss that counts as an improvement."""


class Training(Section):
    """How long and in what batches."""

    epochs: int = Field(default=20, ge=1, le=1_000_000)
    """Passes over the training rows, at most."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Rows an update, over all workers together."""
    early_stopping: EarlyStopping | None = None
    """Off by default. The weights of the epoch with the lowest validation loss are kept either way."""
    retries: int = Field(default=3, ge=0, le=100)
    """How often lost workers, and how often a lost driver, are replaced; training goes on from the last checkpoint."""


class Compute(Section):
    """Workers and what each of them gets from Ray."""

    workers: int = Field(default=1, ge=1, le=1024)
    """Processes that train together; one runs as a Ray actor, several under Ray Train."""
    cpus_per_worker: int = Field(default=1, ge=1, le=1024)
    """CPU cores a worker, which is also its number of torch threads."""
    gpus_per_worker: float = Field(default=0.0, ge=0, le=64)
    """GPUs a worker; 0 trains on the CPU, a fraction shares one."""


class Registry(Section):
    """What happens to the trained model."""

    promote: Literal["better", "always", "never"] = "better"
    """Move `champion`: if the validation metric is at least as good, always, or never."""
    variant: Literal["fp32", "int8", "bf16"] = "fp32"
    """Form of the served graph: as trained, INT8, or FP32 with its weights stored as BF16."""
    variant_tolerance: float = Field(default=0.005, ge=0, le=1)
    """By how much the variant's validation accuracy or R² may be below the FP32 graph's; else FP32 is served."""


class TrainingSpec(Section):
    """From this come the training job, the registered signature and the served shapes."""

    name: str = Field(default="digits-mlp", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    """Name of the registered model: letters, digits, - and _."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the split, the first weights and the order of the batches."""
    data: Data = SklearnSource()
    """Where the rows come from."""
    model: Model = Mlp()
    """The network."""
    loss: Loss = Loss()
    """The loss."""
    optimizer: Optimizer = Adam()
    """The optimizer."""
    regularization: Regularization = Regularization()
    """Penalties on the weights."""
    training: Training = Training()
    """Epochs, batches, early stopping."""
    compute: Compute = Compute()
    """Workers, CPU cores, GPUs."""
    registry: Registry = Registry()
    """Promotion."""

    @property
    def task(self) -> Task:
        """What the loss makes of the target: a class or a quantity."""
        return "classification" if self.loss.name == "cross_entropy" else "regression"

    @model_validator(mode="after")
    def _loss_fits_bundled_set(self) -> Self:
        if isinstance(self.data, SklearnSource):
            needed = "mse" if self.data.dataset in REGRESSION_SETS else "cross_entropy"
            if self.loss.name != needed:
                raise _mismatch("loss.name", f"{needed} for the set {self.data.dataset!r}", repr(self.loss.name))
        return self
