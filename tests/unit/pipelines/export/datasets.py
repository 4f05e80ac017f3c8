"""Made-up datasets whose rows are far from mean 0 and deviation 1."""

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.scaling import Scaling
from pipelines.spec.objective import Task


def rows(*shape: int) -> NDArray[np.float32]:
    """Rows far from mean 0 and deviation 1, so that a lost standardisation shows."""
    random = np.random.default_rng(shape)  # of its own, so that no test depends on which ran before it
    return (random.standard_normal(shape) * 4 + 10).astype(np.float32)


def dataset(row_shape: tuple[int, ...], task: Task = "classification") -> Dataset:
    features = rows(60, *row_shape)
    quantities = (features.reshape(60, -1)[:, 0] * 50 - 1000).astype(np.float32)
    classes = np.arange(60) % 3
    part = Rows(features, classes if task == "classification" else quantities)
    return Dataset(
        train=part,
        validation=part,
        test=part,
        task=task,
        features=Scaling.fit(features),
        target=Scaling.identity() if task == "classification" else Scaling.fit(quantities[:, None]),
        labels=("a", "b", "c") if task == "classification" else (),
        feature_names=(),
        target_name="target",
        origin="a test",
        digest="d1g35t",
    )
