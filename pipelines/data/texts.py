"""A column of texts as rows of token indices, with a vocabulary of the training rows."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.columns import check_column, named_rows, refuse_gaps
from pipelines.data.dataset import Dataset, Rows
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, listed, read_any_table
from pipelines.data.scaling import Scaling
from pipelines.data.splits import Indices, SplitIndices, split_rows
from pipelines.data.table import Table
from pipelines.data.targets import Targets, encode_target
from pipelines.errors import DataError
from pipelines.registry.manifest import Text
from pipelines.registry.texts import Tokenizer, fit_vocabulary
from pipelines.spec.data import TextSource
from pipelines.spec.training_spec import TrainingSpec

TEXT_SUFFIXES = (*CSV_SUFFIXES, *PARQUET_SUFFIXES)


def load_texts(source: TextSource, spec: TrainingSpec) -> Dataset:
    """Read, check, split and index the texts. Raises DataError, naming column and row."""
    table = read_texts(source, read_any_table(find_files(source.path, TEXT_SUFFIXES)))
    if not len(table.target):
        raise DataError("data.path", "at least one row", "none")
    targets = encode_target(table, spec.task)
    classes = targets.values.astype(np.int64) if targets.labels else None
    split = split_rows(len(targets.values), source.split, spec.seed, classes)
    training = table.columns[source.text][split.train, 0]
    words = fit_vocabulary(training, source.vocabulary) if source.unit == "words" else ()
    return assemble_texts(source, spec, table, targets, split, words)


def read_texts(source: TextSource, frame: pd.DataFrame) -> Table:
    """The texts, as the one of the table's `columns`, and the target. Raises DataError.

    Rows are named by the frame's index, plus 1.
    """
    check_names(source, list(map(str, frame.columns)))
    check_column(source.target, frame[source.target])
    texts, nothing = _texts(source.text, frame[source.text]), np.empty((len(frame), 0), np.float32)
    columns = {source.text: texts[:, None]}
    target, names = frame[source.target].to_numpy(), (source.text,)
    return Table(nothing, target, names, source.target, (), source.path, columns, **named_rows(frame))


def check_names(source: TextSource, names: Sequence[str]) -> None:
    """Raise DataError if a column is not there."""
    for field, name in (("text", source.text), ("target", source.target)):
        if name not in names:
            raise DataError(f"data.{field}", f"one of the columns {listed(names)}", repr(name))


def assemble_texts(
    source: TextSource,
    spec: TrainingSpec,
    table: Table,
    targets: Targets,
    split: SplitIndices,
    words: tuple[str, ...],
    steps: int | None = None,
) -> Dataset:
    """Index texts that are read and divided, with a vocabulary of training rows; these get `steps` tokens if given."""
    text = Text(unit=source.unit, vocabulary=words, max_tokens=source.max_tokens)
    tokenizer, texts = Tokenizer(text), table.columns[source.text]

    def rows(chosen: Indices, steps: int | None = None) -> Rows:
        tokens = tokenizer.tokens(texts[chosen, 0].tolist(), steps)
        ids = None if table.ids is None else table.ids[chosen]
        return Rows(tokens, targets.values[chosen], {source.text: texts[chosen]}, ids=ids)

    train = rows(split.train, steps)
    return Dataset(
        train=train,
        validation=rows(split.validation),
        test=rows(split.test),
        task=spec.task,
        features=Scaling.identity(),
        target=Scaling.identity() if targets.labels else Scaling.fit(train.targets.astype(np.float32)[:, None]),
        labels=targets.labels,
        feature_names=(source.text,),
        target_name=source.target,
        origin=source.path,
        digest=_digest(texts[:, 0], targets, source),
        text=text,
        row_names=table.row_names,
    )


def _texts(name: str, column: "pd.Series[Any]") -> NDArray[np.object_]:
    """(N,), objects of type str."""
    refuse_gaps(name, column)
    values = column.astype(object).to_numpy()
    for row, value in zip(column.index, values, strict=True):
        if not isinstance(value, str) or "\0" in value:  # numpy's own texts lose a NUL at their end
            raise DataError("data.text", f"texts in column {name!r}", f"{value!r} in row {row + 1}"[:200])
    return values


def _digest(texts: NDArray[np.object_], targets: Targets, source: TextSource) -> str:
    digest = hashlib.sha256("\0".join((source.text, source.target, *targets.labels)).encode())
    digest.update("\0".join(texts).encode())
    digest.update(np.ascontiguousarray(targets.values).data)
    return digest.hexdigest()[:16]
