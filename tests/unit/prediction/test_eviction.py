import pytest

from services.prediction.eviction import Resident, estimated_bytes, fits, leaving


def resident(version: str, memory_bytes: int, used_s: float, *, is_champion: bool = False) -> Resident:
    return Resident("digits", version, memory_bytes, used_s, is_champion)


LOADED = [
    resident("1", 30, used_s=1.0, is_champion=True),
    resident("2", 10, used_s=3.0),
    resident("3", 20, used_s=2.0),
    resident("4", 5, used_s=4.0),
]


@pytest.mark.parametrize(
    ("max_bytes", "gone"),
    [(0, ""), (65, ""), (64, "3"), (45, "3"), (44, "32"), (35, "32"), (34, "324"), (1, "324")],
)
def test_the_least_recently_used_leave_but_no_champion(max_bytes: int, gone: str) -> None:
    assert "".join(each.version for each in leaving(LOADED, max_bytes)) == gone


@pytest.mark.parametrize(("memory_bytes", "fit"), [(20, True), (21, False)])
def test_there_is_room_beside_the_champions(memory_bytes: int, fit: bool) -> None:
    assert fits(memory_bytes, LOADED, 50) is fit
    assert fits(memory_bytes, LOADED, 0)


def test_a_small_graph_takes_memory_too() -> None:
    assert estimated_bytes(0) > 0
    assert estimated_bytes(1000) - estimated_bytes(0) == 2000
