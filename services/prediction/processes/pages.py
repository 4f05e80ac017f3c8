"""The metrics of all processes as one collector: it reads their pages, and sums them."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.registry import Collector

from services.prediction.processes.totals import Totals
from services.rpc.pages import read_page

LOOK_INTERVAL_S = 2.0
"""Seconds between two looks at the pages while nobody asks: what a killed process counted since is lost."""


class Pages(Collector):
    """`pids` are those of the processes that run, by number; `path` is the socket of a number's page."""

    def __init__(self, pids: Callable[[], Mapping[int, int]], path: Callable[[int], Path]) -> None:
        self._pids, self._path = pids, path
        self._totals, self._seen = Totals(), dict[int, str]()
        self._one_look, self._guard = threading.Lock(), threading.Lock()

    def look(self) -> None:
        """Read each page; blocks. Of a process that does not answer the last page counts."""
        with self._one_look:
            for number, pid in self._pids().items():
                with suppress(OSError):
                    page = read_page(self._path(number))
                    self._read(number, pid, page)

    def ended(self, number: int) -> None:
        """The process ended: what it counted stays."""
        with self._guard:
            self._tell(number)
            self._totals.ended(number)

    def describe(self) -> Iterable[Metric]:
        """Nothing up front."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The sums as of now."""
        self.look()
        with self._guard:
            for number in list(self._seen):
                self._tell(number)
            return self._totals.collect()

    def _read(self, number: int, pid: int, page: str) -> None:
        with self._guard:
            if page and self._pids().get(number) == pid:  # else it ended meanwhile, and was counted
                self._seen[number] = page

    def _tell(self, number: int) -> None:
        """Parse what was read last; most pages are replaced unread."""
        page = self._seen.pop(number, None)
        if page is not None:
            self._totals.told(number, page)
