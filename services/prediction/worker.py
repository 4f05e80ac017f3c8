"""A thread for what blocks: a model that is slow, or hangs, holds up nobody but its own callers."""

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

logger = logging.getLogger(__name__)

IDLE_S = 5.0
"""Seconds without work after which the thread leaves: nothing has to be closed, and its owner can be freed."""


class Worker:
    """Runs what it is given, one after another, in a daemon thread of its own: nobody waits for it at exit."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._guard = threading.Lock()
        self._running = False

    def do(self, task: Callable[[], None]) -> None:
        """Run `task` as soon as those before it are done; returns at once."""
        with self._guard:
            self._tasks.put(task)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            try:
                task()
            except Exception:
                logger.exception("%s: a task failed", self._name)
            del task  # what it belongs to may be replaced while this thread waits

    def _next(self) -> Callable[[], None] | None:
        while True:
            try:
                return self._tasks.get(timeout=IDLE_S)
            except Empty:
                with self._guard:
                    if self._tasks.empty():
                        self._running = False
                        return None
