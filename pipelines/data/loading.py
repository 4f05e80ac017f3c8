"""From the spec's `data` section to a dataset: read, check, shape, encode, split, measure."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.encoding import Encoding
from pipelines.data.padding import counted
from pipelines.data.scaling import Scaling
from pipelines.data.series import load_series
from pipelines.data.sources import read_table
from pipelines.data.splits import Indices, SplitIndices, split_rows
from pipelines.data.table import Table
from pipelines.data.targets import Targets, encode_target
from pipelines.data.texts import load_texts
from pipelines.errors import DataError
from pipelines.spec.data import Data, SeriesSource, TableSource, TextSource
from pipelines.spec.training_spec import TrainingSpec

OUTPUTS = ("probabilities", "class_index", "prediction")
"""What models call their outputs."""


def load_dataset(spec: TrainingSpec) -> Dataset:
    """Read, check, shape, encode, split and measure the rows that a spec asks for. Raises DataError."""
    if isinstance(spec.data, SeriesSource):
        return load_series(spec.data, spec)
    if isinstance(spec.data, TextSource):
        return load_texts(spec.data, spec)
    source = spec.data
    table = read_table(source, spec.task, spec.seed)
    targets = encode_target(table, spec.task)
    classes = targets.values.astype(np.int64) if targets.labels else None
    return assemble(spec, table, targets, split_rows(len(targets.values), source.split, spec.seed, classes))


def assemble(spec: TrainingSpec, table: Table, targets: Targets, split: SplitIndices) -> Dataset:
    """Shape, encode and measure rows that are read and divided. Raises DataError."""
    source = spec.data
    encoding = fit_encoding(source, table, split.train)
    features = shaped(table.features, source.shape)
    train, validation, test = (
        _rows(table, features, targets, encoding, rows) for rows in (split.train, split.validation, split.test)
    )
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        task=spec.task,
        features=_scaling(source, train, encoding),
        target=Scaling.identity() if targets.labels else Scaling.fit(train.targets.astype(np.float32)[:, None]),
        labels=targets.labels,
        feature_names=table.feature_names,
        target_name=table.target_name,
        origin=table.origin,
        digest=_digest(table, targets),
        encoding=encoding,
        are_pictures=table.are_pictures,
        row_names=table.row_names,
    )


def fit_encoding(source: Data, table: Table, train: Indices) -> Encoding:
    """Of the training rows, which `train` are. Raises DataError."""
    if not (isinstance(source, TableSource) and table.columns):
        return Encoding()
    for name in table.columns:
        if name in OUTPUTS:
            raise DataError("data.features", f"columns with other names than outputs, {', '.join(OUTPUTS)}", repr(name))
    training = {name: values[train] for name, values in table.columns.items()}
    return Encoding.fit(training, impute=source.missing == "impute")


def _rows(table: Table, features: NDArray[np.float32], targets: Targets, encoding: Encoding, chosen: Indices) -> Rows:
    ids = chosen.astype(np.uint64) if table.ids is None else table.ids[chosen]
    if not encoding.columns:
        lengths = None if table.lengths is None else table.lengths[chosen]
        return Rows(features[chosen], targets.values[chosen], lengths=lengths, ids=ids)
    columns = {name: values[chosen] for name, values in table.columns.items()}
    return Rows(encoding.apply(columns), targets.values[chosen], columns, ids=ids)


def _scaling(source: Data, train: Rows, encoding: Encoding) -> Scaling:
    if not source.standardize:
        return Scaling.identity()
    if train.lengths is not None:
        return Scaling.fit(train.features[counted(train.lengths, train.features.shape[1])])
    scaling = Scaling.fit(train.features)
    return scaling.only(encoding.measured) if encoding.columns else scaling


def shaped(features: NDArray[np.float32], shape: tuple[int, ...] | None) -> NDArray[np.float32]:
    """Rows (N, *row) as the network sees them. Raises DataError."""
    if shape is None and features.ndim <= 4:
        return features
    values = int(np.prod(features.shape[1:]))
    if shape is None or int(np.prod(shape)) != values:
        came = f"{list(shape)}" if shape else "no shape"
        raise DataError("data.shape", f"at most three numbers whose product is {values}, the values of a row", came)
    return features.reshape(len(features), *shape)


def _digest(table: Table, targets: Targets) -> str:
    digest = hashlib.sha256()
    for part in digested(table, targets.values):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    digest.update("\0".join((*table.feature_names, table.target_name, *targets.labels)).encode())
    return digest.hexdigest()[:16]


def digested(table: Table, targets: NDArray[Any]) -> Iterator[NDArray[np.generic]]:
    """What a digest is of."""
    yield table.features
    if table.lengths is not None:
        yield table.lengths
    for column in table.columns.values():
        is_text = column.dtype.kind == "O"
        yield np.frombuffer("\0".join(column[:, 0]).encode(), np.uint8) if is_text else column
    yield targets
