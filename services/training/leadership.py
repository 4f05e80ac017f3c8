"""Which of several services that share DRIVETRAIN_HOME acts on the jobs: one at a time, the others stand by.

Two would start each other's jobs twice. The lock belongs to the open file, so it ends with the process that holds it,
however that ends.
"""

import fcntl
from pathlib import Path
from typing import IO


class Leadership:
    """A lock on a file. Every method blocks for a file access."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Whether this service leads; takes the lead if nobody has it."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                return False
            self._file = file
        return True

    def release(self) -> None:
        """Let another service lead."""
        if self._file is not None:
            self._file.close()
        self._file = None
