"""Whether rows stay in memory or stream from disk: decided from what files say of themselves, before they are read."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fsspec.compression import compr
from fsspec.core import get_compression

from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, Files, find_files, read_header, read_schema, row_groups
from pipelines.errors import DataError
from pipelines.spec.data import CsvSource, Data, ParquetSource, Streamable

SHARE = 1 / 10
"""Of the machine's memory that resident rows may take: a job has been seen to need seven times as much at its peak, as
they are read, divided, scaled, handed to Ray and taken from there."""

_CATEGORY_BYTES = 64
"""Of a text as a Python object."""
_SAMPLE_BYTES = 2**23
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Size:
    """What a source's rows come to; of CSV, estimated from the beginning of the first file."""

    rows: int
    columns: int
    row_bytes: int
    """In memory: 4 a number, 64 a category."""

    @property
    def total_bytes(self) -> int:
        """Of all rows, once."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Choice:
    """Where the rows of a job will be, and why."""

    streamed: bool
    reason: str
    """With the figures, for people; empty where there was nothing to choose."""
    size: Size | None = None


def choose_memory(source: Data, memory_bytes: int | None = None) -> Choice:
    """Follow `data.memory`; for `auto` compare the rows' size with this machine's memory, all of it and not only what
    is free, so that the same machine always decides alike. Raises DataError for files that cannot be read.
    """
    if not isinstance(source, Streamable) or source.memory == "resident":
        return Choice(False, "")
    size = estimate(source)
    told = f"{size.rows:,} rows of {size.row_bytes:,} bytes are {_gib(size.total_bytes)}"
    if source.memory == "stream":
        return Choice(True, f"data streams from disk, as data.memory asks: {told}", size)
    memory = memory_bytes or machine_memory()
    streamed = size.total_bytes > SHARE * memory
    where = "streams from disk: more than" if streamed else "stays in memory: at most"
    return Choice(streamed, f"data {where} a tenth of {_gib(memory)}, as {told}", size)


def machine_memory() -> int:
    """Bytes that this machine, or the container this runs in, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path(path).read_text().strip() for path in _LIMITS if Path(path).is_file()]
    return min([total, *(int(limit) for limit in limits if limit.isdigit())])


def estimate(source: Streamable) -> Size:
    """Without reading more than the files' own descriptions, or 8 MiB of one. Raises DataError."""
    match source:
        case ParquetSource():
            found = find_files(source.path, PARQUET_SUFFIXES)
            rows, names = sum(map(sum, row_groups(found))), read_schema(found)
        case CsvSource():
            rows, names = _csv_size(find_files(source.path, CSV_SUFFIXES))
    columns = len(source.features) if source.features else max(1, len(names) - 1)
    numbers = columns - len(source.categories)
    return Size(rows, columns, max(4, 4 * numbers + _CATEGORY_BYTES * len(source.categories)))


def _csv_size(found: Files) -> tuple[int, list[str]]:
    """Rows of all files if they are like the first 8 MiB, also in how well they are compressed; and the columns."""
    path = found.paths[0]
    unpack = compr[get_compression(path, "infer")]
    try:
        with found.system.open(path, "rb") as raw:
            file = unpack(raw, mode="rb") if unpack else raw
            content = file.read(_SAMPLE_BYTES)
            read = raw.tell()
    except (OSError, EOFError, ValueError) as error:
        raise DataError("data.path", "a readable csv file", str(error)) from error
    complete = len(content) < _SAMPLE_BYTES
    lines = max(1, content.count(b"\n") - 1)
    names = read_header(found)
    if complete and len(found.paths) == 1:
        return lines, names
    total = sum(found.system.size(path) for path in found.paths)
    share = read / max(1, len(content)) if not complete else 1.0
    return int(np.ceil(total / max(share, 1e-9) / max(1, len(content)) * lines)), names


def _gib(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB"
