from pathlib import Path

from services.training.leadership import Leadership


def test_one_leads_until_it_resigns(tmp_path: Path) -> None:
    path = tmp_path / "home" / "lock"
    first, second = Leadership(path), Leadership(path)
    assert [first.acquire(), second.acquire(), first.acquire()] == [True, False, True]
    first.resign()
    assert [first.acquire(), second.acquire()] == [False, True], "who has resigned does not come back"
    second.resign()
    second.resign()  # has nothing: nothing happens


def test_a_service_that_never_led_may_resign(tmp_path: Path) -> None:
    leadership = Leadership(tmp_path / "lock")
    leadership.resign()
    assert not leadership.acquire()
    assert not (tmp_path / "lock").exists()
