"""Small outcomes to evaluate, draw and describe."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.scaling import Scaling
from pipelines.spec.objective import Task
from pipelines.training.loop import EpochReport
from pipelines.training.tally import Measures

LABELS = ("cat", "dog", "eel")


def dataset(task: Task) -> Dataset:
    """Ten training, five validation and six test rows of two values."""
    parts = []
    for rows in (10, 5, 6):
        targets = np.arange(rows) % 3 if task == "classification" else np.arange(rows, dtype=np.float32) * 10
        parts.append(Rows(np.ones((rows, 2), np.float32), targets))
    train, validation, test = parts
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        task=task,
        features=Scaling.identity(),
        target=Scaling.identity(),
        labels=LABELS if task == "classification" else (),
        feature_names=("length", "weight"),
        target_name="animal" if task == "classification" else "price",
        origin="animals.csv",
        digest="0123456789abcdef",
    )


def probabilities(rows: int) -> NDArray[np.float32]:
    scores = np.random.default_rng(0).random((rows, 3)) + 0.05
    return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)


def reports(losses: list[float], penalty: float = 0.0) -> list[EpochReport]:
    """One report an epoch; the validation loss is the given one."""
    return [
        EpochReport(
            epoch=epoch,
            train=Measures(loss / 2),
            validation=Measures(loss),
            penalty=penalty,
            learning_rate=0.1,
            seconds=1.0,
            rows_per_second=10.0,
            best=loss == min(losses[:epoch]),
        )
        for epoch, loss in enumerate(losses, start=1)
    ]
