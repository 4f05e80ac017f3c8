"""Which of several services that share DRIVETRAIN_HOME acts on the jobs: one at a time, the others stand by.

Two would start each other's jobs twice. The lock belongs to the open file, so it ends with the process that holds it,
however that ends.
"""

import fcntl
import threading
from pathlib import Path
from typing import IO


class Leadership:
    """A lock on a file. Every method blocks for a file access, and any thread may call it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._file: IO[bytes] | None = None
        self._resigned = False

    def acquire(self) -> bool:
        """Whether this service leads; takes the lead if nobody has it."""
        with self._mutex:
            if self._file is None and not self._resigned:
                self._file = self._locked()
            return self._file is not None

    def resign(self) -> None:
        """Let another service lead, for good: an `acquire` that is still under way in a thread takes nothing."""
        with self._mutex:
            self._resigned = True
            if self._file is not None:
                self._file.close()
            self._file = None

    def _locked(self) -> IO[bytes] | None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file
