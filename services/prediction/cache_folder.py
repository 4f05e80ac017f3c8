"""A folder on disk that several servers may share: everything in it appears and goes by one rename.

What the disk refuses ends here: it is told once, and what asked for it goes on without.
"""

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

logger = logging.getLogger(__name__)

ABANDONED_S = 24 * 3600.0
"""Seconds after which something half written belongs to nobody any more: its server was killed."""


class CacheFolder:
    """The folder; `partial/` in it holds what is being written or thrown away."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._partial = directory / "partial"
        self._failing = False

    def attempt(self, change: Callable[[], None]) -> bool:
        """Make a change; if the disk refuses it, warn, unless the one before failed too. Whether it was made."""
        try:
            change()
        except OSError as error:
            if not self._failing:
                logger.warning("the model cache cannot be written, serving goes on without it: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True

    def free_bytes(self) -> int:
        """What is left on its disk. Raises OSError if nothing can be written there."""
        with self.draft() as draft:
            return shutil.disk_usage(draft).free

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty folder to write in, on the same file system; what is left in it goes."""
        self._partial.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self._partial, ignore_cleanup_errors=True) as path:
            yield Path(path)

    def write(self, path: Path, content: bytes) -> None:
        """Put a file there, or another content into it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.draft() as draft:
            (draft / path.name).write_bytes(content)
            (draft / path.name).replace(path)

    def move_in(self, written: Path, place: Path) -> None:
        """Put a folder out of a draft there, instead of what may be there."""
        place.parent.mkdir(parents=True, exist_ok=True)
        self.discard(place)
        try:
            written.rename(place)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):  # another server was first: its copy is as good
                raise

    def discard(self, folder: Path) -> None:
        """Take a folder, which may be gone already, from under its name, and then from the disk."""
        with self.draft() as draft, suppress(FileNotFoundError):
            folder.rename(draft / folder.name)

    def sweep(self) -> None:
        """Remove what killed servers left half written."""
        if not self._partial.is_dir():
            return
        for path in self._partial.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    shutil.rmtree(path)
