from datetime import datetime, timedelta

from services.training.turns import next_job
from tests.unit.training.jobs import NOON, job, waiting


def test_nobody_waits() -> None:
    assert next_job([], [job()], {}) is None


def test_within_a_model_the_oldest_comes_first() -> None:
    assert next_job([waiting("a", 2), waiting("a", 1)], [], {}) == waiting("a", 1)


def test_a_model_that_has_nothing_running_comes_first() -> None:
    queued = [waiting("a", 1), waiting("b", 2)]
    assert next_job(queued, [job(model="a")], {}) == waiting("b", 2)


def test_then_the_model_whose_last_turn_is_the_longest_ago() -> None:
    queued = [waiting("a", 1), waiting("b", 2), waiting("c", 3)]
    turns = {"a": NOON + timedelta(hours=2), "b": NOON + timedelta(hours=1)}
    assert next_job(queued, [], turns) == waiting("c", 3)
    assert next_job(queued[:2], [], turns) == waiting("b", 2)


def test_a_flood_of_one_model_does_not_starve_another() -> None:
    queued = [waiting("flood", minute) for minute in range(50)] + [waiting("drop", 99)]
    started: list[str] = []
    turns: dict[str, datetime] = {}
    for minute in range(3):
        chosen = next_job(queued, [], turns)
        assert chosen is not None
        queued.remove(chosen)
        turns[chosen.model] = NOON + timedelta(minutes=minute)
        started.append(chosen.model)
    assert "drop" in started[:2]
