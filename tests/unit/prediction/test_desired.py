import pytest

from services.prediction.desired import Orders, desired

ALIASES = {"challenger": "10", "champion": "3", "candidate": "9", "next": "10"}


def test_the_champion_comes_first_then_the_newest() -> None:
    assert desired(ALIASES, Orders()) == ["3", "10", "9"]
    assert desired({}, Orders()) == []


def test_orders_go_before_aliases() -> None:
    pinned = Orders().load("2")
    assert desired(ALIASES, pinned) == ["3", "10", "9", "2"]
    assert desired(ALIASES, pinned.unpin("2")) == ["3", "10", "9"]
    without = pinned.unload("10").unload("2")
    assert desired(ALIASES, without) == ["3", "9"]
    assert desired(ALIASES, without.load("10")) == ["3", "10", "9"]
    assert desired(ALIASES, without.load("")) == ["3", "10", "9"]


@pytest.mark.parametrize("version", ["", "3"])
def test_an_unloaded_model_wants_nothing_until_it_is_loaded(version: str) -> None:
    off = Orders().load("2").unload("")
    assert desired(ALIASES, off) == []
    assert desired(ALIASES, off.load(version)) == ["3", "10", "9"]
