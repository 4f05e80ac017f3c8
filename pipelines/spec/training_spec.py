"""The training spec: one frozen model from which data, network, objective, workers and promotion follow.

Every field has a default, so the empty spec trains an MLP on the handwritten digits. `pipelines.spec_file` reads specs.
"""

import re
from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from pipelines.spec.data import REGRESSION_SETS, Data, NpzSource, SklearnSource
from pipelines.spec.model import Cnn, Mlp, Model, Rnn
from pipelines.spec.objective import BinaryCrossEntropy, CrossEntropy, Loss, Regularization, Task
from pipelines.spec.optimizer import Adam, AdamW, Constant, GradientDescent, Optimizer, Schedule
from pipelines.spec.registry import Registry
from pipelines.spec.section import Section, mismatch
from pipelines.spec.training import Compute, Training

_WORDS = re.compile(r"[A-Za-z0-9_]+")


def _subject(data: Mapping[str, object]) -> str:
    """What data is about: the name of the set, or of the file or folder."""
    if isinstance(path := data.get("path"), str):
        named = [part.split(".")[0] for part in re.split(r"[/:]", path) if part and not set(part) & set("*?[{")]
        return named[-1] if named else "data"
    source = data.get("source", "sklearn")
    return str(data.get("dataset", "digits") if source == "sklearn" else source)


class TrainingSpec(Section):
    """From this come the training job, the registered signature and the served shapes."""

    name: str = Field(default="digits-mlp", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")
    """Name of the registered model: letters, digits, - and _. By default it tells data and family: wine-mlp."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the split, the first weights and the order of the batches."""
    data: Data = SklearnSource()
    """Where the rows come from."""
    model: Model = Mlp()
    """The network."""
    loss: Loss = CrossEntropy()
    """The loss; it also says whether the target is a class or a quantity."""
    optimizer: Optimizer = Adam()
    """The optimizer."""
    schedule: Schedule = Constant()
    """How the learning rate changes while training goes on."""
    regularization: Regularization = Regularization()
    """Penalties on the weights."""
    training: Training = Training()
    """Epochs, batches, early stopping."""
    compute: Compute = Compute()
    """Workers, CPU cores, GPUs."""
    registry: Registry = Registry()
    """Promotion."""

    @model_validator(mode="before")
    @classmethod
    def _named_after_its_data(cls, tree: object) -> object:
        """So that nobody's own data becomes another version of the model that the default spec trains."""
        if not isinstance(tree, Mapping) or "name" in tree:
            return tree
        data, model = (
            dict(part) if isinstance(part, Mapping | Section) else {} for part in (tree.get("data"), tree.get("model"))
        )
        family = model.get("family", "mlp")
        words = _WORDS.findall(f"{_subject(data)}-{family}")
        return {**tree, "name": "-".join(words)[-100:].lstrip("-_") or "model"}

    @property
    def task(self) -> Task:
        """What the loss makes of the target: a class or a quantity."""
        return "classification" if isinstance(self.loss, CrossEntropy | BinaryCrossEntropy) else "regression"

    @property
    def one_logit(self) -> bool:
        """Whether one number a row says which of two classes it is."""
        return isinstance(self.loss, BinaryCrossEntropy)

    @model_validator(mode="after")
    def _loss_fits_bundled_set(self) -> Self:
        if isinstance(self.data, SklearnSource):
            needed = "regression" if self.data.dataset in REGRESSION_SETS else "classification"
            if self.task != needed:
                losses = "mse, mae or huber" if needed == "regression" else "cross_entropy"
                raise mismatch("loss.name", f"{losses} for the set {self.data.dataset!r}", repr(self.loss.name))
        return self

    @model_validator(mode="after")
    def _network_takes_lengths(self) -> Self:
        if not isinstance(self.data, NpzSource) or self.data.lengths is None:
            return self
        pools_all = isinstance(self.model, Cnn) and self.model.global_pooling != "none"
        if not (pools_all or isinstance(self.model, Rnn)):
            expected = "none, unless model.family is rnn, or cnn with model.global_pooling"
            raise mismatch("data.lengths", expected, repr(self.data.lengths))
        return self

    @model_validator(mode="after")
    def _weights_decay_one_way(self) -> Self:
        if isinstance(self.optimizer, AdamW) and self.regularization.l2:
            expected = "0 with the optimizer adamw, which has optimizer.weight_decay in its place"
            raise mismatch("regularization.l2", expected, f"{self.regularization.l2:g}")
        return self

    @model_validator(mode="after")
    def _batch_norm_has_a_batch(self) -> Self:
        if isinstance(self.model, Rnn) or self.model.norm != "batch":
            return self
        if isinstance(self.optimizer, GradientDescent):
            raise mismatch("model.norm", "layer or none with the optimizer gd, which has no batches", "'batch'")
        if self.training.batch_size == 1:
            raise mismatch("training.batch_size", "at least 2 where model.norm is batch", "1")
        return self

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.schedule.warmup_epochs >= self.training.epochs:
            expected = f"less than training.epochs, which is {self.training.epochs}"
            raise mismatch("schedule.warmup_epochs", expected, f"{self.schedule.warmup_epochs:g}")
        return self
