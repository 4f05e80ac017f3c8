"""How fast a version works its queue off, and so how long a request would wait."""

import math


class Pace:
    """Rows a second, measured while there is always more to do: from the end of one batch to the end of the next.

    So it holds all that stands between two batches: the run, the answers, the reading of requests and what other
    versions do on the same core meanwhile. What is older counts less, half as much after 0.7 of `max_s`. As long as
    there is less than half of `max_s` to go by, nobody is turned away.
    """

    def __init__(self, max_s: float) -> None:
        self.max_s, self.max_rows_ahead = max_s, math.inf
        """Seconds that those before a request may take, and how many rows that is."""
        self._seconds = self._rows = 0.0
        self._worked_until_s: float | None = None

    def expected_wait_s(self, num_rows: int) -> float:
        """Seconds until so many rows are done."""
        return num_rows * self._seconds / self._rows if self._rows else 0.0

    def observe(self, num_rows: int, now_s: float, *, more: bool) -> None:
        """A batch of so many rows has ended; `more` says whether others wait."""
        if self._worked_until_s is not None and num_rows:
            took_s = now_s - self._worked_until_s
            kept = math.exp(-took_s / self.max_s)
            self._seconds, self._rows = self._seconds * kept + took_s, self._rows * kept + num_rows
            if self._seconds > self.max_s / 2:
                self.max_rows_ahead = self.max_s * self._rows / self._seconds
        self._worked_until_s = now_s if more else None
