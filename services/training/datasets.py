"""Uploaded content, stored once under its SHA-256: `HEX` is complete and checked, `HEX.part` is still coming.

An upload is one file, locked while it comes; a cut one leaves what came, and the next goes on there. The lock belongs
to the open file, so it ends with it, also when the process dies. Files are written, read and hashed in threads.
"""

import asyncio
import errno
import fcntl
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Lock

from services.rpc.errors import (
    ConflictError,
    ExhaustedError,
    InvalidRequestError,
    InvalidSettingsError,
    PreconditionError,
)

BLOCK_BYTES = 4 * 2**20
"""What is gathered before a thread writes it: one thread a chunk would cost more than the writing."""

STALE_S = 7 * 24 * 3600.0
"""Seconds without a new byte after which a part is given up."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Dataset:
    """What is held of a content."""

    sha256: str
    received_bytes: int
    complete: bool

    @property
    def address(self) -> str:
        """What a spec gives as `data.path`."""
        return f"sha256:{self.sha256}"


@dataclass(frozen=True)
class Announcement:
    """What a client says of an upload before its first chunk, which belongs at `offset`."""

    sha256: str
    size_bytes: int
    offset: int


class DatasetStore:
    """The content under one folder. `receive` is for the event loop; the other methods block for a file access."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory, self._max_bytes = directory, max_bytes

    def prepare(self) -> None:
        """Make the folder and give up parts to which nothing came for `STALE_S`. Raises InvalidSettingsError."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            for part in self._directory.glob("*.part"):
                if part.stat().st_mtime < time.time() - STALE_S:
                    part.unlink()
        except OSError as error:
            raise InvalidSettingsError("datasets", "a writable folder", f"{self._directory}: {error}") from error

    def path(self, sha256: str) -> Path:
        """Where the content lies once it is complete. Raises InvalidRequestError for anything but a hash."""
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise InvalidRequestError("sha256", "64 hexadecimal digits, lower case", repr(sha256[:80]))
        return self._directory / sha256

    def exists(self, sha256: str) -> bool:
        """Whether the content is complete. Raises InvalidRequestError."""
        return self.path(sha256).is_file()

    def held(self, sha256: str) -> Dataset:
        """What is held of the content, which may be nothing. Raises InvalidRequestError."""
        path = self.path(sha256)
        for candidate in (path, _part(path), path):  # once more: a part may have become complete between the looks
            if candidate.is_file():
                return Dataset(sha256, candidate.stat().st_size, complete=candidate == path)
        return Dataset(sha256, 0, complete=False)

    async def receive(self, announced: Announcement, chunks: AsyncIterator[bytes]) -> Dataset:
        """Store the chunks; content that is complete already is answered without reading them.

        Fewer bytes than announced are kept and make no complete content, whichever way the chunks end.

        Raises InvalidRequestError (malformed, more bytes than announced, or another content than its hash: that is
        thrown away), PreconditionError (the offset is not what is held), ConflictError (it is being uploaded just now),
        ExhaustedError (too large, or the disk is full).
        """
        upload = _Upload(self.path(announced.sha256), announced)
        try:
            if await asyncio.to_thread(upload.begin, self._max_bytes):
                async for chunk in chunks:
                    if upload.take(chunk) >= BLOCK_BYTES:
                        await asyncio.to_thread(upload.write)
                await asyncio.to_thread(upload.finish)
        finally:
            await asyncio.to_thread(upload.close)  # also writes what a cut upload has gathered
        return await asyncio.to_thread(self.held, announced.sha256)


class _Upload:
    """The file of one upload. All but `take` block, and exclude each other: a thread outlives its cancelled caller."""

    def __init__(self, path: Path, announced: Announcement) -> None:
        self._path, self._announced = path, announced
        self._file: FileIO | None = None
        self._received_bytes = announced.offset  # taken, be it written or not
        self._gathered = bytearray()
        self._guard, self._closed = Lock(), False

    def begin(self, max_bytes: int) -> bool:
        """Open and lock the part; False if the content is complete already."""
        with self._guard, _full_disk_told():
            if self._closed or self._path.is_file():
                return False
            self._check_announcement(max_bytes)
            self._file = _part(self._path).open("a+b", buffering=0)
            _lock(self._file)
            if self._path.is_file():  # another upload ended while this one opened the part
                _part(self._path).unlink(missing_ok=True)
                return False
            status = os.fstat(self._file.fileno())
            if status.st_nlink == 0:  # another upload threw the part away meanwhile
                raise ConflictError("another upload of this content ended just now; try again")
            if status.st_size != self._announced.offset:
                raise PreconditionError(
                    f"offset: expected {status.st_size}, the bytes held of this content, came {self._announced.offset}"
                )
            return True

    def take(self, chunk: bytes) -> int:
        """Gather a chunk; return how many bytes wait to be written."""
        if self._received_bytes + len(chunk) > self._announced.size_bytes:
            raise InvalidRequestError("chunk", f"{self._announced.size_bytes} bytes in all, as announced", "more")
        self._received_bytes += len(chunk)
        self._gathered += chunk
        return len(self._gathered)

    def write(self) -> None:
        """Write what was gathered."""
        with self._guard, _full_disk_told():
            self._write()

    def finish(self) -> None:
        """If all has come, check it and make it the content; throw it away if it is another."""
        with self._guard, _full_disk_told():
            self._write()
            if self._received_bytes < self._announced.size_bytes or self._file is None:
                return
            os.fsync(self._file.fileno())
            self._file.seek(0)
            came = hashlib.file_digest(self._file, "sha256").hexdigest()
            if came != self._announced.sha256:
                _part(self._path).unlink()
                raise InvalidRequestError("sha256", f"content of SHA-256 {self._announced.sha256}", came)
            _part(self._path).rename(self._path)

    def close(self) -> None:
        """Write what is left, and unlock the part."""
        with self._guard, _full_disk_told():
            self._closed = True
            if self._file is not None:
                with self._file:
                    self._write()
            self._file = None

    def _check_announcement(self, max_bytes: int) -> None:
        size_bytes, offset = self._announced.size_bytes, self._announced.offset
        if size_bytes <= 0:
            raise InvalidRequestError("size_bytes", "at least 1", str(size_bytes))
        if size_bytes > max_bytes:
            raise ExhaustedError(f"size_bytes: an upload may have {max_bytes} bytes, came {size_bytes}")
        if not 0 <= offset <= size_bytes:
            raise InvalidRequestError("offset", f"0 to size_bytes, {size_bytes}", str(offset))

    def _write(self) -> None:
        """What cannot be written is forgotten: the caller hears of it, and goes on at what the file has."""
        gathered, self._gathered = memoryview(self._gathered), bytearray()
        while gathered and self._file is not None:
            gathered = gathered[self._file.write(gathered) :]


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _lock(file: FileIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConflictError("this content is being uploaded just now; try again later") from error


@contextmanager
def _full_disk_told() -> Iterator[None]:
    """The boundary where a full disk becomes ExhaustedError; other faults of the disk are no limit and stay bugs."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ExhaustedError("the disk of the datasets is full; what came is kept") from error
