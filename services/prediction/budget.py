"""What requests may hold of memory while they wait, all models and clients together."""

import threading


class Budget:
    """A number of bytes to share; called in any thread."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self._taken_bytes = max_bytes, 0
        self._guard = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        """Whether they were to be had."""
        with self._guard:
            fits = self._taken_bytes + size_bytes <= self.max_bytes
            if fits:
                self._taken_bytes += size_bytes
            return fits

    def give_back(self, size_bytes: int) -> None:
        """What was taken."""
        with self._guard:
            self._taken_bytes -= size_bytes
