"""When to ask again: pure decisions about time. `status.py` says what is worth it."""

import math
import time
from dataclasses import dataclass

from services.prediction.client.errors import SettingsError

LAST_MOMENT_S = 0.02
"""With less time than this left, another attempt would not reach the service."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter, for as long as the call's deadline allows."""

    first_pause_s: float = 0.05
    longest_pause_s: float = 1.0
    max_attempts: float = math.inf
    """Attempts in all, the first among them."""

    def __post_init__(self) -> None:
        if not 0 < self.first_pause_s <= self.longest_pause_s:
            came = f"first {self.first_pause_s}, longest {self.longest_pause_s}"
            raise SettingsError("retry pauses", "0 < first_pause_s <= longest_pause_s", came)
        if self.max_attempts < 1:
            raise SettingsError("retry.max_attempts", "at least 1", str(self.max_attempts))

    def pause_s(self, num_attempts: int, remaining_s: float, chance: float) -> float | None:
        """Seconds to wait after `num_attempts` failed ones; None: give up.

        The k-th pause is drawn by `chance` in [0, 1) from the upper half of first_pause_s * 2^(k-1), at most
        longest_pause_s, and takes at most half of the `remaining_s` seconds: there is always time for the next attempt.
        """
        if num_attempts >= self.max_attempts or remaining_s < LAST_MOMENT_S:
            return None
        doublings = min(num_attempts - 1, 64)  # a float holds no more than 2^1023
        ceiling_s = min(self.first_pause_s * 2.0**doublings, self.longest_pause_s)
        return min(ceiling_s * (1 + chance) / 2, remaining_s / 2)


NO_RETRIES = RetryPolicy(max_attempts=1)


class Deadline:
    """The moment by which one call, with all its attempts and pauses, must be over."""

    def __init__(self, timeout_s: float) -> None:
        if not timeout_s > 0 or math.isinf(timeout_s):
            raise SettingsError("timeout_s", "a number of seconds above 0", str(timeout_s))
        self.timeout_s = timeout_s
        self._until_s = time.monotonic() + timeout_s

    def remaining_s(self) -> float:
        """Seconds left, never below 0."""
        return max(self._until_s - time.monotonic(), 0.0)
