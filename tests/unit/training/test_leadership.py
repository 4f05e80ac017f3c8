from pathlib import Path

from services.training.leadership import Leadership


def test_one_leads_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "home" / "lock"
    first, second = Leadership(path), Leadership(path)
    second.release()  # has nothing: nothing happens
    assert [first.acquire(), second.acquire(), first.acquire()] == [True, False, True]
    first.release()
    assert [second.acquire(), first.acquire()] == [True, False]
    second.release()
