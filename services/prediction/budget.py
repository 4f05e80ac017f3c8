"""What requests may hold of memory while they wait, all models and clients together."""

import threading

from services.prediction.errors import MemoryFullError


class Budget:
    """A number of bytes to share; called in any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._taken_bytes = max_bytes, 0
        self._guard = threading.Lock()

    def take(self, size_bytes: int) -> None:
        """Raises MemoryFullError if they are not to be had."""
        with self._guard:
            if self._taken_bytes + size_bytes > self._max_bytes:
                raise MemoryFullError(self._max_bytes)
            self._taken_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """What was taken."""
        with self._guard:
            self._taken_bytes -= size_bytes
