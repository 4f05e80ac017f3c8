"""From an address in a spec to files: local ones, uploaded content, or whatever fsspec opens; to arrays and tables."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files as package_files
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from pyarrow.lib import ArrowException

from pipelines.errors import DataError
from pipelines.home import datasets_folder
from pipelines.spec.data import BUNDLED_SCHEME, CONTENT_SCHEME

CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst")
PARQUET_SUFFIXES = (".parquet", ".pq")
"""What files in a folder end in; a file that is named may end in anything."""

Read = TypeVar("Read")

_PATTERN = "*?["
_S3_SCHEMES = ("s3://", "s3a://")
_PARQUET_MAGIC = b"PAR1"
_PARQUET_BUFFER_BYTES = 2**16
"""Of each column, what is read ahead."""


@dataclass(frozen=True)
class Files:
    """Files of one file system, in the order of their names."""

    system: AbstractFileSystem
    folder: str
    """What all of them are below."""
    paths: tuple[str, ...]


def find_files(address: str, suffixes: tuple[str, ...]) -> Files:
    """The file at an address, those that match it as a pattern, or those of these suffixes below it as a folder.

    Hidden files of a folder, and those whose names begin with _, are left out. Raises DataError if there is none.
    """
    if address.startswith(CONTENT_SCHEME):
        return _local_file(datasets_folder() / address.removeprefix(CONTENT_SCHEME), address, "uploaded here")
    if address.startswith(BUNDLED_SCHEME):
        folder = Path(str(package_files("pipelines"))) / "recipes" / "data"
        return _local_file(
            folder / Path(address.removeprefix(BUNDLED_SCHEME)).name, address, "shipped with the recipes"
        )
    system, path = _opened(address)
    try:
        return _found(system, path, address, suffixes)
    except DataError:
        raise
    except Exception as error:  # file systems raise whatever their stores answer
        raise DataError("data.path", f"{address!r} to be readable", str(error)) from error


def read_csv(found: Files, texts: Iterable[str]) -> pd.DataFrame:
    """The rows of all files, see `_by_file`; columns in `texts` as they are written. Raises DataError."""
    as_written = frozenset(texts)

    def read(path: str) -> pd.DataFrame:
        with found.system.open(path, "rb", compression="infer") as file:
            content = file.read()
        frame = _refuse_row_names(pd.read_csv(BytesIO(content)))
        if as_written:  # pandas would take "007" for 7 and "NA" for nothing
            written = pd.read_csv(BytesIO(content), usecols=as_written.__contains__, dtype=str, na_filter=False)
            _take_as_written(frame, written)
        return frame

    frames = [_translated("csv", path, found, partial(read, path)) for path in found.paths]
    _check_columns(found, [frame.columns for frame in frames])
    together = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return _by_file(together, found, [len(frame) for frame in frames])


def read_header(found: Files) -> list[str]:
    """Names of the columns of the first CSV file. Raises DataError."""

    def read() -> list[str]:
        with found.system.open(found.paths[0], "rb", compression="infer") as file:
            return list(map(str, pd.read_csv(file, nrows=0).columns))

    return _translated("csv", found.paths[0], found, read)


def csv_blocks(
    found: Files, path: str, texts: Iterable[str], rows: int, types: Mapping[str, type] | None = None
) -> Generator[pd.DataFrame, None, None]:
    """The rows of one file as `read_csv` gives them, so many at a time; the index counts on. Raises DataError.

    `types` of columns keep a block whose texts look like numbers from being taken for numbers.
    """
    as_written, known = frozenset(texts), dict(types or {})
    with (
        found.system.open(path, "rb", compression="infer") as file,
        found.system.open(path, "rb", compression="infer") as again,
    ):
        blocks = _translated("csv", path, found, lambda: pd.read_csv(file, chunksize=rows, dtype=known))
        others: Iterator[pd.DataFrame] = iter(())
        if as_written:
            columns = as_written.__contains__
            others = iter(pd.read_csv(again, usecols=columns, dtype=str, na_filter=False, chunksize=rows))
        while (frame := _translated("csv", path, found, lambda: next(blocks, None))) is not None:
            _translated("csv", path, found, partial(_refuse_row_names, frame))
            if as_written:
                _take_as_written(frame, next(others))
            yield frame


def _refuse_row_names(frame: pd.DataFrame) -> pd.DataFrame:
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):  # pandas took the first column for row names
        raise ValueError("rows with more values than the header has names")
    return frame


def _take_as_written(frame: pd.DataFrame, written: pd.DataFrame) -> None:
    for name in written:
        frame[name] = written[name]


def read_parquet(found: Files) -> pd.DataFrame:
    """The rows of all files, see `_by_file`, with columns from folders named such as year=2024. Raises DataError."""

    def read() -> pd.DataFrame:
        dataset = _parquet(found)
        frame: pd.DataFrame = dataset.to_table().to_pandas()
        counts = [fragment.count_rows() for fragment in dataset.get_fragments()] if len(found.paths) > 1 else [0]
        return _by_file(frame.reset_index(drop=True), found, counts)

    return _translated("parquet", found.paths[0], found, read)


def file_names(found: Files) -> tuple[str, ...]:
    """What messages call the files: their paths below the folder that all are in."""
    return tuple(path.removeprefix(f"{found.folder}/") for path in found.paths)


def _by_file(frame: pd.DataFrame, found: Files, counts: Sequence[int]) -> pd.DataFrame:
    """Rows of several files, so many of each, with an index of two levels: the file's name, and the place in it."""
    if len(found.paths) == 1:
        return frame
    levels = [pd.Index(file_names(found)), pd.RangeIndex(max(counts))]
    codes = [np.repeat(np.arange(len(counts)), counts), np.concatenate([np.arange(count) for count in counts])]
    return frame.set_axis(pd.MultiIndex(levels, codes))  # type: ignore[arg-type] # it takes arrays as well as lists


def row_groups(found: Files) -> list[list[int]]:
    """The rows of each row group of each Parquet file; only what files say of themselves is read. Raises DataError."""

    def read() -> list[list[int]]:
        return [[group.num_rows for group in fragment.row_groups] for fragment in _parquet(found).get_fragments()]

    return _translated("parquet", found.paths[0], found, read)


def read_schema(found: Files) -> list[str]:
    """Names of the columns that `read_parquet` gives; no rows are read. Raises DataError."""
    path = found.paths[0]
    frame = _translated("parquet", path, found, lambda: _parquet(found).schema.empty_table().to_pandas())
    return list(map(str, frame.columns))


def parquet_blocks(found: Files, file: int, groups: list[int], rows: int) -> Generator[pd.DataFrame, None, None]:
    """Row groups of one file as `read_parquet` gives them, so many rows at a time. Raises DataError.

    A row group may have a million rows: it is read in pieces, not as a whole, which pyarrow's dataset would.
    """
    path = found.paths[file]
    fragment = _translated("parquet", path, found, lambda: list(_parquet(found).get_fragments())[file])
    from_folders = pyarrow.dataset.get_partition_keys(fragment.partition_expression)
    with found.system.open(path, "rb") as opened:
        parquet = pyarrow.parquet.ParquetFile(opened, pre_buffer=False, buffer_size=_PARQUET_BUFFER_BYTES)
        batches = parquet.iter_batches(batch_size=rows, row_groups=groups, use_threads=False)
        while (batch := _translated("parquet", path, found, lambda: next(batches, None))) is not None:
            yield batch.to_pandas().assign(**from_folders)


def _parquet(found: Files) -> pyarrow.dataset.Dataset:
    dataset = pyarrow.dataset.dataset(
        list(found.paths),
        filesystem=found.system,
        format="parquet",
        partitioning="hive",
        partition_base_dir=found.folder,
    )
    _check_columns(found, [fragment.physical_schema.names for fragment in dataset.get_fragments()])
    return dataset


def read_any_table(found: Files) -> pd.DataFrame:
    """The rows of all files, Parquet or CSV. Raises DataError."""
    return read_parquet(found) if are_parquet(found) else read_csv(found, ())


def are_parquet(found: Files) -> bool:
    """Whether files are Parquet, and not CSV: the first bytes of the first tell."""
    with found.system.open(found.paths[0], "rb") as file:
        return bool(file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC)


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Names for a message, the first of them."""
    texts = [repr(str(name)) for name in names]
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def _local_file(path: Path, address: str, how: str) -> Files:
    if not path.is_file():
        kind = "content" if how == "uploaded here" else "a file"
        raise DataError("data.path", f"{kind} that has been {how}", f"{address!r}, which has not")
    return Files(LocalFileSystem(), str(path.parent), (str(path),))


def _opened(address: str) -> tuple[AbstractFileSystem, str]:
    if "://" not in address:
        return LocalFileSystem(), str(Path(address).absolute())
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        if not address.startswith(_S3_SCHEMES):
            raise DataError("data.path", "an address that fsspec can open here", f"{address!r} ({error})") from error
        expected = "the package s3fs for an address in S3 (pip install 'drivetrain[s3]')"
        raise DataError("data.path", expected, f"{address!r} without it") from error
    except (ValueError, OSError) as error:  # unknown protocol
        raise DataError("data.path", "an address that fsspec can open here", f"{address!r} ({error})") from error
    return system, str(path)


def _found(system: AbstractFileSystem, path: str, address: str, suffixes: tuple[str, ...]) -> Files:
    if system.isfile(path):
        return Files(system, path.rpartition("/")[0], (path,))
    if set(_PATTERN) & set(path):
        start = min(path.index(sign) for sign in _PATTERN if sign in path)
        folder = path[:start].rpartition("/")[0]
        matching = sorted(each for each in system.glob(path) if system.isfile(each) and is_data(each[len(folder) :]))
        if not matching:
            raise DataError("data.path", "a pattern that files match", f"{address!r}, which none does")
        return Files(system, folder, tuple(matching))
    if not system.isdir(path):
        raise DataError("data.path", "an existing file or folder", f"{address!r}, which is neither")
    below = sorted(each for each in system.find(path) if is_data(each.removeprefix(path), suffixes))
    if not below:
        raise DataError("data.path", f"files ending in {' or '.join(suffixes)} below {address!r}", "none")
    return Files(system, path.rstrip("/"), tuple(below))


def is_data(path: str, suffixes: tuple[str, ...] = ("",)) -> bool:
    """Whether a file below a folder is one of the data: of these suffixes, and nowhere hidden."""
    hidden = any(part.startswith((".", "_")) for part in path.split("/"))
    return not hidden and path.lower().endswith(suffixes)


def _translated(kind: str, path: str, found: Files, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except (ValueError, OSError, EOFError, ArrowException, pd.errors.ParserError) as error:
        which = f"{Path(path).name}: " if len(found.paths) > 1 else ""
        raise DataError("data.path", f"a readable {kind} file", f"{which}{error}".strip()) from error


def _check_columns(found: Files, columns: list[Iterable[str]]) -> None:
    first = list(columns[0])
    for path, names in zip(found.paths, map(list, columns), strict=True):
        if set(names) != set(first):
            came = f"{listed(names)} in {Path(path).name!r}"
            raise DataError("data.path", f"the columns {listed(first)} in every file", came)
