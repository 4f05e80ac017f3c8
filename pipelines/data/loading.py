"""From the spec's `data` section to a dataset: read, check, shape, encode, split, measure."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.scaling import Scaling
from pipelines.data.sources import Table, read_table
from pipelines.data.splits import split_rows
from pipelines.data.targets import Targets, encode_target
from pipelines.errors import DataError
from pipelines.spec.training_spec import TrainingSpec


def load_dataset(spec: TrainingSpec) -> Dataset:
    """Read, check, shape, encode, split and measure the rows that a spec asks for. Raises DataError."""
    table = read_table(spec.data, spec.task, spec.seed)
    features = _shaped(table.features, spec.data.shape)
    targets = encode_target(table, spec.task)
    classes = targets.values.astype(np.int64) if targets.labels else None
    split = split_rows(len(features), spec.data.split, spec.seed, classes)
    train, validation, test = (
        Rows(features[rows], targets.values[rows]) for rows in (split.train, split.validation, split.test)
    )
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        task=spec.task,
        features=Scaling.fit(train.features) if spec.data.standardize else Scaling.identity(),
        target=Scaling.identity() if targets.labels else Scaling.fit(train.targets.astype(np.float32)[:, None]),
        labels=targets.labels,
        feature_names=table.feature_names,
        target_name=table.target_name,
        origin=table.origin,
        digest=_digest(table, targets),
    )


def _shaped(features: NDArray[np.float32], shape: tuple[int, ...] | None) -> NDArray[np.float32]:
    if shape is None and features.ndim <= 4:
        return features
    values = int(np.prod(features.shape[1:]))
    if shape is None or int(np.prod(shape)) != values:
        came = f"{list(shape)}" if shape else "no shape"
        raise DataError("data.shape", f"at most three numbers whose product is {values}, the values of a row", came)
    return features.reshape(len(features), *shape)


def _digest(table: Table, targets: Targets) -> str:
    digest = hashlib.sha256()
    for part in (table.features, targets.values):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    digest.update("\0".join((*table.feature_names, table.target_name, *targets.labels)).encode())
    return digest.hexdigest()[:16]
