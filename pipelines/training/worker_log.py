"""What a worker's process logs as a warning or worse, so that it can travel to whoever waits for the job.

Ray keeps a worker's own output in files of the node, where nobody looks.
"""

import logging
from types import TracebackType
from typing import Self

_MOST = 50
"""Different texts of a worker; whatever it logs after that stays in Ray's files."""
_MOST_CHARACTERS = 1000


class WorkerLog(logging.Handler):
    """Keeps what is logged while its block lasts, Python's `warnings` included, each text once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: set[str] = set()
        self._new: list[str] = []

    def __enter__(self) -> Self:
        logging.captureWarnings(True)
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        logging.getLogger().removeHandler(self)
        logging.captureWarnings(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        text = record.getMessage().strip()[:_MOST_CHARACTERS]
        if text not in self._seen and len(self._seen) < _MOST:
            self._seen.add(text)
            self._new.append(text)

    def take(self) -> tuple[str, ...]:
        """The texts since they were last taken."""
        taken, self._new = self._new, []
        return tuple(taken)
