import math

from services.prediction.call_queue import CallQueue
from services.prediction.calls import DEFAULT_PRIORITY, Lane, split
from tests.unit.prediction.waiting import LANE, Waiting


def call(
    num_rows: int = 1,
    width: int = 2,
    *,
    deadline_s: float = math.inf,
    priority: int = DEFAULT_PRIORITY,
    queued_s: float = 0,
) -> Waiting:
    return Waiting([], Lane(priority, ((width,),)), num_rows, deadline_s, queued_s)


def filled(*calls: Waiting) -> CallQueue:
    queue = CallQueue()
    queue.push(calls)
    return queue


def test_a_batch_is_filled_in_order_and_never_beyond_its_size() -> None:
    calls = [call(2), call(2), call(2), call(1)]
    queue = filled(*calls)
    assert queue.take(5, 0).batch == calls[:2]
    assert (len(queue), queue.num_rows) == (2, 3), "what came later does not overtake"
    assert queue.take(5, 0).batch == calls[2:]


def test_only_rows_of_one_shape_share_a_batch_and_the_oldest_goes_first() -> None:
    calls = [call(width=3, queued_s=1), call(width=2, queued_s=2), call(width=3, queued_s=3)]
    queue = filled(*calls)
    assert queue.take(8, 0).batch == [calls[0], calls[2]]
    assert queue.take(8, 0).batch == [calls[1]]


def test_a_call_larger_than_a_batch_leaves_alone() -> None:
    calls = [call(9), call(1)]
    assert filled(*calls).take(4, 0).batch == calls[:1]


def test_the_higher_priority_leaves_first() -> None:
    calls = [call(priority=5, queued_s=1), call(priority=1, queued_s=2), call(priority=9, queued_s=0)]
    queue = filled(*calls)
    assert [queue.take(1, 0).batch[0] for _ in calls] == [calls[1], calls[0], calls[2]]


def test_a_call_waits_for_the_rows_of_its_own_and_higher_priorities() -> None:
    queue = filled(call(3, priority=5), call(4, priority=1), call(5, priority=9))
    assert [queue.rows_until(priority) for priority in (1, 4, 5, 9)] == [4, 4, 7, 12]
    assert CallQueue().rows_until(9) == 0


def test_expired_and_cancelled_calls_are_dropped() -> None:
    expired, cancelled, live = call(deadline_s=1.0), call(), call()
    cancelled.cancelled = True
    taken = filled(expired, cancelled, live).take(4, now_s=1.0)
    assert (taken.batch, taken.dropped) == ([live], [expired, cancelled])


def test_the_next_lane_has_its_turn_where_one_holds_nothing_live() -> None:
    expired, live = call(width=3, deadline_s=1.0), call(width=2, queued_s=1)
    taken = filled(expired, live).take(4, now_s=1.0)
    assert (taken.batch, taken.dropped) == ([live], [expired])


def test_the_dead_can_be_taken_out() -> None:
    expired, cancelled, live, other = call(deadline_s=1.0), call(), call(), call(width=3, deadline_s=0)
    cancelled.cancelled = True
    queue = filled(expired, cancelled, live, other)
    assert queue.drop_dead(now_s=1.0) == [expired, cancelled, other]
    assert queue.take(4, 1.0).batch == [live]
    assert (len(queue), queue.num_rows) == (0, 0)


def test_nothing_is_an_empty_batch() -> None:
    assert CallQueue().take(4, 0).batch == []


def test_the_parts_of_a_call_that_nobody_waits_for_are_dead() -> None:
    queue, call = CallQueue(), Waiting([bytes(8)], LANE, 8)
    queue.push(split(call, 2))
    assert queue.drop_dead(0.0) == []
    call.cancelled = True
    assert len(queue.drop_dead(0.0)) == 4
    assert len(queue) == queue.num_rows == 0


class Fickle(Waiting):
    """Cancelled from the second look on, as by another thread."""

    def is_dead(self, now_s: float) -> bool:  # noqa: ARG002 - its own idea of time
        was, self.cancelled = self.cancelled, True
        return was


def test_a_call_that_is_cancelled_while_the_dead_are_sought_is_not_lost() -> None:
    queue = filled(Fickle([], LANE, 1))
    assert queue.drop_dead(0.0) == []
    assert len(queue) == 1
    assert len(queue.take(1, 0.0).dropped) == 1
    assert len(queue) == queue.num_rows == 0
