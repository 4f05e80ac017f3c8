"""A column of texts as rows of token indices, with a vocabulary of the training rows."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.columns import check_column, named_rows, refuse_gaps
from pipelines.data.dataset import Dataset, Rows
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, listed, read_any_table
from pipelines.data.scaling import Scaling
from pipelines.data.splits import Indices, split_rows
from pipelines.data.table import Table
from pipelines.data.targets import Targets, encode_target
from pipelines.errors import DataError
from pipelines.registry.manifest import Text
from pipelines.registry.texts import Tokenizer, fit_vocabulary
from pipelines.spec.data import TextSource
from pipelines.spec.training_spec import TrainingSpec


def load_texts(source: TextSource, spec: TrainingSpec) -> Dataset:
    """Read, check, split and index the texts. Raises DataError, naming column and row."""
    frame = read_any_table(find_files(source.path, (*CSV_SUFFIXES, *PARQUET_SUFFIXES)))
    for field, name in (("text", source.text), ("target", source.target)):
        if name not in frame.columns:
            raise DataError(f"data.{field}", f"one of the columns {listed(frame.columns)}", repr(name))
    check_column(source.target, frame[source.target])
    texts, nothing = _texts(source.text, frame[source.text]), np.empty((len(frame), 0), np.float32)
    table = Table(nothing, frame[source.target].to_numpy(), (source.text,), source.target, (), source.path)
    targets = encode_target(table, spec.task)
    classes = targets.values.astype(np.int64) if targets.labels else None
    split = split_rows(len(texts), source.split, spec.seed, classes)
    words = fit_vocabulary(texts[split.train], source.vocabulary) if source.unit == "words" else ()
    named = named_rows(frame)
    text = Text(unit=source.unit, vocabulary=words, max_tokens=source.max_tokens)
    tokenizer = Tokenizer(text)
    train, validation, test = (
        replace(_rows(source, texts, targets, tokenizer, chosen), ids=named["ids"][chosen])
        for chosen in (split.train, split.validation, split.test)
    )
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        task=spec.task,
        features=Scaling.identity(),
        target=Scaling.identity() if targets.labels else Scaling.fit(train.targets.astype(np.float32)[:, None]),
        labels=targets.labels,
        feature_names=(source.text,),
        target_name=source.target,
        origin=source.path,
        digest=_digest(texts, targets, source),
        text=text,
        row_names=named["row_names"],
    )


def _texts(name: str, column: "pd.Series[Any]") -> NDArray[np.object_]:
    """(N,), objects of type str."""
    refuse_gaps(name, column)
    values = column.astype(object).to_numpy()
    for row, value in enumerate(values, start=1):
        if not isinstance(value, str) or "\0" in value:  # numpy's own texts lose a NUL at their end
            raise DataError("data.text", f"texts in column {name!r}", f"{value!r} in row {row}"[:200])
    if not len(values):
        raise DataError("data.path", "at least one row", "none")
    return values


def _rows(
    source: TextSource, texts: NDArray[np.object_], targets: Targets, tokenizer: Tokenizer, chosen: Indices
) -> Rows:
    tokens = tokenizer.tokens(texts[chosen].tolist())
    return Rows(tokens, targets.values[chosen], {source.text: texts[chosen][:, None]})


def _digest(texts: NDArray[np.object_], targets: Targets, source: TextSource) -> str:
    digest = hashlib.sha256("\0".join((source.text, source.target, *targets.labels)).encode())
    digest.update("\0".join(texts).encode())
    digest.update(np.ascontiguousarray(targets.values).data)
    return digest.hexdigest()[:16]
