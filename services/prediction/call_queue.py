"""The order in which calls leave a version's queue. It decides alone: no threads, no clock."""

from collections import deque
from dataclasses import dataclass, field

from services.prediction.calls import Call, RowShapes


@dataclass
class Taken:
    """What leaves the queue: `batch` runs now; `dropped` are too late, or nobody waits for them."""

    batch: list[Call] = field(default_factory=list)
    num_rows: int = 0
    """Of the batch."""
    dropped: list[Call] = field(default_factory=list)


class CallQueue:
    """Calls in lanes, one for each priority and shape of rows; within a lane none overtakes another."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[int, RowShapes], deque[Call]] = {}
        self._num_requests = 0
        self.num_rows = 0

    def __len__(self) -> int:
        """How many requests wait; one in parts is one, for as long as its last part waits."""
        return self._num_requests

    def push(self, call: Call) -> None:
        """Behind the calls of its lane."""
        key = (call.priority, call.row_shapes)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = deque()
        lane.append(call)
        self._num_requests += call.takes_place
        self.num_rows += call.num_rows

    def take(self, max_rows: int, now_s: float) -> Taken:
        """The first live calls of the lane whose turn it is, as many as `max_rows` rows hold.

        A call of more than `max_rows` leaves alone. The batch is empty only if no live call is left.
        """
        taken = Taken()
        while self._lanes and not taken.batch:
            key = self._next_lane()
            self._take_from(self._lanes[key], max_rows, now_s, taken)
            if not self._lanes[key]:
                del self._lanes[key]
        self._left(taken.batch)
        self._left(taken.dropped)
        return taken

    def rows_until(self, priority: int) -> int:
        """Rows that would leave before a call of this priority that comes now."""
        if all(key[0] <= priority for key in self._lanes):  # nearly always: who counts them is in a hurry
            return self.num_rows
        before = [lane for key, lane in self._lanes.items() if key[0] <= priority]
        return sum([call.num_rows for lane in before for call in lane])

    def drop_dead(self, now_s: float) -> list[Call]:
        """Take out every call that is too late, or that nobody waits for."""
        dead: list[Call] = []
        for key, lane in list(self._lanes.items()):
            live: deque[Call] = deque()
            for call in lane:  # asked once: it may be cancelled meanwhile
                (dead if call.is_dead(now_s) else live).append(call)
            if live:
                self._lanes[key] = live
            else:
                del self._lanes[key]
        self._left(dead)
        return dead

    def _left(self, calls: list[Call]) -> None:
        self._num_requests -= sum([call.takes_place for call in calls])
        self.num_rows -= sum([call.num_rows for call in calls])

    def _next_lane(self) -> tuple[int, RowShapes]:
        """The lane of the highest priority; of several, that whose first call waits longest."""
        if len(self._lanes) == 1:
            return next(iter(self._lanes))
        return min(self._lanes, key=lambda key: (key[0], self._lanes[key][0].queued_s))

    @staticmethod
    def _take_from(lane: deque[Call], max_rows: int, now_s: float, taken: Taken) -> None:
        while lane and (taken.num_rows + lane[0].num_rows <= max_rows or not taken.batch):
            call = lane.popleft()
            if call.is_dead(now_s):
                taken.dropped.append(call)
            else:
                taken.batch.append(call)
                taken.num_rows += call.num_rows
