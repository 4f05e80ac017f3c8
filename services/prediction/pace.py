"""How fast a version works its queue off, and so how long a request would wait."""

import math

WEIGHT = 0.1
"""Of the newest batch in the pace."""


class Pace:
    """Seconds a row, measured while there is always more to do: from the end of one batch to the end of the next.

    So it holds all that stands between two batches: the run, the answers, the reading of requests and what other
    versions do on the same core meanwhile.
    """

    def __init__(self, max_s: float) -> None:
        self.max_s, self.max_rows_ahead = max_s, math.inf
        """Seconds that those before a request may take, and how many rows that is."""
        self._row_s = 0.0
        self._worked_until_s: float | None = None

    def expected_wait_s(self, num_rows: int) -> float:
        """Seconds until so many rows are done."""
        return num_rows * self._row_s

    def observe(self, num_rows: int, now_s: float, *, more: bool) -> None:
        """A batch of so many rows has ended; `more` says whether others wait."""
        if self._worked_until_s is not None and num_rows:
            row_s = (now_s - self._worked_until_s) / num_rows
            self._row_s += (row_s - self._row_s) * (WEIGHT if self._row_s else 1.0)
            self.max_rows_ahead = self.max_s / self._row_s if self._row_s else math.inf
        self._worked_until_s = now_s if more else None
