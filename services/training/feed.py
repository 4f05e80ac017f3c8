"""What a job's driver has told so far: its journal, read in blocks that all watchers of a job share."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """One line of a journal: its fields, and where the next line begins."""

    fields: Mapping[str, Any]
    end: int


@dataclass(frozen=True)
class Position:
    """How far a watcher has come: byte `offset` of the journal of `attempt`, and the state it heard of last."""

    attempt: int = 1
    offset: int = 0
    state: str = ""

    def __str__(self) -> str:
        return f"{self.attempt}.{self.offset}.{self.state}"

    @classmethod
    def parse(cls, cursor: str) -> "Position":
        """The position that a cursor names; ValueError if it is none. An empty cursor is the beginning."""
        if not cursor:
            return cls()
        parts = re.fullmatch(r"([1-9]\d{0,8})\.(\d{1,15})\.([A-Z]*\d*)", cursor)
        if parts is None:
            raise ValueError(f"not a cursor: {cursor[:100]!r}")
        return cls(int(parts[1]), int(parts[2]), parts[3])


def journal_size(path: Path) -> int:
    """Bytes of a journal; 0 before it exists."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_block(path: Path, offset: int) -> tuple[Entry, ...]:
    """The whole lines from `offset` on, as many as a block holds; empty at the end or where no whole line is yet.

    The block is read once for all watchers that come by while it is remembered.
    """
    return _read(path, offset, journal_size(path))


def last_epoch(path: Path) -> int:
    """The highest epoch that a journal tells of; 0 if none."""
    offset = highest = 0
    while block := read_block(path, offset):
        highest = max([highest, *(entry.fields["epoch"] for entry in block if entry.fields["kind"] == "epoch")])
        offset = block[-1].end
    return highest


@lru_cache(maxsize=256)
def _read(path: Path, offset: int, _size: int) -> tuple[Entry, ...]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(BLOCK_BYTES)
            if b"\n" not in content and len(content) == BLOCK_BYTES:
                content += file.readline()  # a line longer than a block
    except OSError:
        return ()
    entries = []
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        offset += len(line)
        fields = _parse(line)
        if fields is not None:
            entries.append(Entry(fields, offset))
    return tuple(entries)


def _parse(line: bytes) -> dict[str, Any] | None:
    """The line's object; None for one that a dying driver left torn."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "kind" in fields and "time" in fields else None
