"""The training spec: one frozen model from which data, network, objective, workers and promotion follow.

Every field has a default, so the empty spec trains an MLP on the handwritten digits. `pipelines.spec_file` reads specs.
"""

from typing import Self

from pydantic import Field, model_validator

from pipelines.spec.data import REGRESSION_SETS, Data, SklearnSource
from pipelines.spec.model import Mlp, Model
from pipelines.spec.objective import Loss, Regularization, Task
from pipelines.spec.optimizer import Adam, Optimizer
from pipelines.spec.registry import Registry
from pipelines.spec.section import Section, mismatch
from pipelines.spec.training import Compute, Training


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
                raise mismatch("loss.name", f"{needed} for the set {self.data.dataset!r}", repr(self.loss.name))
        return self
