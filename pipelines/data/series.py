"""From a table in the order of time to windows of the past and the steps that follow them."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.columns import named_rows, read_numbers
from pipelines.data.dataset import Dataset, Rows
from pipelines.data.draws import RowIds
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, listed, read_any_table
from pipelines.data.row_names import RowNames
from pipelines.data.scaling import Scaling
from pipelines.data.windows import carried_forward, levelled
from pipelines.errors import DataError
from pipelines.spec.data import SeriesSource, Split
from pipelines.spec.training_spec import TrainingSpec


@dataclass(frozen=True)
class Series:
    """Steps in the order of time."""

    values: NDArray[np.float32]
    """(T, columns), the targets first."""
    names: tuple[str, ...]
    """Of the columns."""
    known: NDArray[np.bool_]
    """(T,): whether no target is missing."""
    ids: RowIds
    """(T,): where each step is from."""
    row_names: RowNames


def load_series(source: SeriesSource, spec: TrainingSpec) -> Dataset:
    """Read a series, cut it in the order of time, and make the windows of each part. Raises DataError."""
    if spec.task != "regression":
        raise DataError("loss.name", "a loss for quantities, such as mse, for a series", repr(spec.loss.name))
    series = read_series(source)
    parts = _parts(len(series.values), source.split)
    train, validation, test = (_windows(series, source, part, name) for name, part in parts.items())
    num_relative = len(source.targets) if source.relative else 0
    measured = levelled(train, num_relative)
    return Dataset(
        train=train,
        validation=validation,
        test=test,
        task="regression",
        features=Scaling.fit(measured.features) if source.standardize else Scaling.identity(),
        target=Scaling.fit(measured.targets.astype(np.float32)),
        labels=(),
        feature_names=series.names,
        target_name=", ".join(source.targets),
        origin=source.path,
        digest=_digest(series, source),
        season=source.season,
        num_relative=num_relative,
        carries=source.missing == "forward",
        row_names=series.row_names,
    )


def read_series(source: SeriesSource) -> Series:
    """All steps in the order of time. Raises DataError, naming column and row."""
    frame = read_any_table(find_files(source.path, (*CSV_SUFFIXES, *PARQUET_SUFFIXES)))
    for field, name in (("time", source.time), *(("targets", name) for name in source.targets)):
        if name not in frame.columns:
            raise DataError(f"data.{field}", f"one of the columns {listed(frame.columns)}", repr(name))
    others = (str(name) for name in frame.columns if name not in (source.time, *source.targets))
    names = (*source.targets, *(tuple(others) if source.features is None else source.features))
    for name in names:
        if name not in frame.columns:
            raise DataError("data.features", f"columns among {listed(frame.columns)}", repr(name))
    times = _times(source.time, frame[source.time])
    _check_steps(source, times.sort_values())
    named, order = named_rows(frame), np.argsort(times.to_numpy(), kind="stable")
    ordered = frame.iloc[order]
    may_miss = source.missing == "forward"
    read = partial(read_numbers, may_miss=may_miss, remedy="data.missing: forward")
    values = np.stack([read(name, ordered[name]) for name in names], axis=1)
    known = np.asarray(np.isfinite(values[:, : len(source.targets)]).all(axis=1), np.bool_)
    filled = carried_forward(values, names) if may_miss else values
    return Series(filled, names, known, named["ids"][order], named["row_names"])


def _times(name: str, column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Dates as such, and numbers as they are."""
    if column.isna().any():
        row = int(np.flatnonzero(column.isna())[0]) + 1
        raise DataError("data.time", f"a time in every row of column {name!r}", f"none in row {row}")
    if column.dtype.kind in "iufM":
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")
    except (ValueError, TypeError) as error:
        expected = f"numbers, or dates such as 2024-12-31 or 2024-12-31T23:59, in column {name!r}"
        raise DataError("data.time", expected, str(error).splitlines()[0]) from error


def _check_steps(source: SeriesSource, times: "pd.Series[Any]") -> None:
    """Each time once, and, unless they may be irregular, one step after the other."""
    doubled = times[times.duplicated()]
    if len(doubled):
        raise DataError("data.time", f"each time once in column {source.time!r}", f"{doubled.iloc[0]} twice")
    if source.irregular or len(times) < 3:
        return
    steps = np.diff(times.to_numpy())
    if not (_all_alike(steps) or (times.dtype.kind == "M" and _are_months(times))):
        at = int(np.argmax(steps != steps[0])) + 1
        came = f"{times.iloc[at]} after {times.iloc[at - 1]}"
        raise DataError("data.time", "equal steps, or data.irregular: true", came)


def _all_alike(steps: NDArray[Any]) -> bool:
    if steps.dtype.kind == "f":
        return bool(np.allclose(steps, steps[0], rtol=1e-3))
    return bool((steps == steps[0]).all())


def _are_months(times: "pd.Series[Any]") -> bool:
    """Whether the steps are months, or as many months each, whose days differ."""
    months = np.diff((times.dt.year * 12 + times.dt.month).to_numpy())
    return bool(months[0] > 0) and _all_alike(months)


def _parts(num_steps: int, shares: Split) -> dict[str, slice]:
    """The steps of training, validation and test, one after the other."""
    first = round(shares.train * num_steps)
    second = first + round(shares.validation * num_steps)
    return {"training": slice(0, first), "validation": slice(first, second), "test": slice(second, num_steps)}


def _windows(series: Series, source: SeriesSource, part: slice, name: str) -> Rows:
    """Every window of the part with the steps that follow it: (N, window, columns) and (N, horizon, targets)."""
    values, length = series.values[part], source.window + source.horizon
    if len(values) < length:
        expected = f"with data.horizon at most {len(values)}, the steps of the {name} part"
        raise DataError("data.window", expected, f"{source.window} + {source.horizon}")
    windows = np.lib.stride_tricks.sliding_window_view(values, length, axis=0).transpose(0, 2, 1)
    known = np.asarray(
        np.lib.stride_tricks.sliding_window_view(series.known[part], length)[:, source.window :].all(axis=1), np.bool_
    )
    if not known.any():
        expected = f"{source.horizon} steps with all targets after a window of the {name} part"
        raise DataError("data.missing", expected, "none")
    past, future = windows[known, : source.window], windows[known, source.window :, : len(source.targets)]
    ids = series.ids[part][: len(known)][known]
    return Rows(np.ascontiguousarray(past), np.ascontiguousarray(future), ids=ids)


def _digest(series: Series, source: SeriesSource) -> str:
    shown = (*series.names, str(len(source.targets)), str(source.window), str(source.horizon))
    digest = hashlib.sha256("\0".join(shown).encode())
    digest.update(f"{series.values.dtype.str}{series.values.shape}".encode())
    digest.update(np.ascontiguousarray(series.values).data)
    if not series.known.all():
        digest.update(series.known.tobytes())
    return digest.hexdigest()[:16]
