"""The order in which calls leave a version's queue. It decides alone: no threads, no clock."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from services.prediction.calls import Call, Lane


@dataclass
class Taken:
    """What leaves the queue: `batch` runs now; `dropped` are too late, or nobody waits for them."""

    batch: list[Call] = field(default_factory=list)
    num_rows: int = 0
    """Of the batch."""
    dropped: list[Call] = field(default_factory=list)


class CallQueue:
    """Calls in lanes; within one none overtakes another."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Call]] = {}
        self._num_requests = 0
        self.num_rows = 0

    def __len__(self) -> int:
        """How many requests wait; one in parts is one, for as long as its last part waits."""
        return self._num_requests

    def push(self, calls: Sequence[Call]) -> None:
        """Each behind the calls of its lane."""
        for lane, members in groupby(calls, attrgetter("lane")):
            self._lanes.setdefault(lane, deque()).extend(members)
        self._num_requests += sum([call.takes_place for call in calls])
        self.num_rows += sum([call.num_rows for call in calls])

    def take(self, max_rows: int, now_s: float) -> Taken:
        """The first live calls of the lane whose turn it is, as many as `max_rows` rows hold.

        A call of more than `max_rows` leaves alone. The batch is empty only if no live call is left.
        """
        taken = Taken()
        while self._lanes and not taken.batch:
            lane = self._next_lane()
            self._take_from(self._lanes[lane], max_rows, now_s, taken)
            if not self._lanes[lane]:
                del self._lanes[lane]
        self._left(taken.batch + taken.dropped if taken.dropped else taken.batch)
        return taken

    def rows_until(self, priority: int) -> int:
        """Rows that would leave before a call of this priority that comes now."""
        if all(lane.priority <= priority for lane in self._lanes):  # nearly always: who counts them is in a hurry
            return self.num_rows
        before = [calls for lane, calls in self._lanes.items() if lane.priority <= priority]
        return sum([call.num_rows for calls in before for call in calls])

    def drop_dead(self, now_s: float) -> list[Call]:
        """Take out every call that is too late, or that nobody waits for."""
        dead: list[Call] = []
        for lane, calls in list(self._lanes.items()):
            live: deque[Call] = deque()
            for call in calls:  # asked once: it may be cancelled meanwhile
                (dead if call.is_dead(now_s) else live).append(call)
            if live:
                self._lanes[lane] = live
            else:
                del self._lanes[lane]
        self._left(dead)
        return dead

    def _left(self, calls: Sequence[Call]) -> None:
        self._num_requests -= sum([call.takes_place for call in calls])
        self.num_rows -= sum([call.num_rows for call in calls])

    def _next_lane(self) -> Lane:
        """The lane of the highest priority; of several, that whose first call waits longest."""
        if len(self._lanes) == 1:
            return next(iter(self._lanes))
        return min(self._lanes, key=lambda lane: (lane.priority, self._lanes[lane][0].queued_s))

    @staticmethod
    def _take_from(calls: deque[Call], max_rows: int, now_s: float, taken: Taken) -> None:
        batch, num_rows = taken.batch, taken.num_rows
        while calls and (num_rows + calls[0].num_rows <= max_rows or not batch):
            call = calls.popleft()
            if call.is_dead(now_s):
                taken.dropped.append(call)
            else:
                batch.append(call)
                num_rows += call.num_rows
        taken.num_rows = num_rows
