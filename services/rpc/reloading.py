"""What is read from files, and read again when they change: tokens and certificates are replaced without a restart."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from services.rpc.errors import InvalidSettingsError

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_INTERVAL_S = 1.0
"""Seconds between two looks at the files: asking costs a clock reading, however many requests come."""

_Stamps = tuple[tuple[int, int, int] | None, ...]


class Reloading(Generic[T]):
    """A value and the files that it comes from. Any thread may ask for it.

    `read` raises InvalidSettingsError for files that do not fit: the constructor lets it through, later the value stays
    as it was and the log says why, once for each state of the files. What is half replaced is thus no outage.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T], look_interval_s: float = LOOK_INTERVAL_S) -> None:
        self._paths, self._read, self._look_interval_s = paths, read, look_interval_s
        self._lock = threading.Lock()
        self._stamps = _stamps(paths)  # before the files are read: a change meanwhile is seen by the next look
        self._value = read()
        self._next_look_s = time.monotonic() + look_interval_s

    def current(self) -> T:
        """The value as of the last look that found the files in order."""
        if time.monotonic() >= self._next_look_s and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._value

    def _look(self) -> None:
        self._next_look_s = time.monotonic() + self._look_interval_s
        stamps = _stamps(self._paths)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        names = ", ".join(map(str, self._paths))
        try:
            self._value = self._read()
        except InvalidSettingsError as error:
            logger.error("%s changed, and what was read before stays in use: %s", names, error)  # noqa: TRY400 - says all
            return
        logger.info("%s changed: read again", names)


def _stamps(paths: Sequence[Path]) -> _Stamps:
    """What differs when a file was written to, replaced, or is gone."""
    return tuple(map(_stamp, paths))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
