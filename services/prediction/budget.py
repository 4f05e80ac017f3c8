"""What requests may hold of memory while they wait, all models and clients together."""

import threading


class Budget:
    """A number of bytes to share; called in any thread.

    Nobody gets to hold more than what is left free: one who takes and never gives back cannot starve the others.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self._taken_bytes = max_bytes, 0
        self._guard = threading.Lock()

    def take(self, size_bytes: int, held_bytes: int = 0) -> bool:
        """Whether they were to be had by somebody who holds so many already."""
        with self._guard:
            fits = held_bytes + size_bytes <= self.max_bytes - self._taken_bytes
            if fits:
                self._taken_bytes += size_bytes
            return fits

    def give_back(self, size_bytes: int) -> None:
        """What was taken."""
        with self._guard:
            self._taken_bytes -= size_bytes
