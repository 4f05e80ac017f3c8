import asyncio
from pathlib import Path

from services.prediction.desired import Orders
from services.prediction.processes.ledger import Ledger

PINNED = Orders(pinned=frozenset({"2"}), unloaded=frozenset({"1"}))


def test_what_one_notes_another_reads(tmp_path: Path) -> None:
    Ledger(tmp_path).note({"digits": PINNED})
    Ledger(tmp_path).note({"iris": Orders(off=True)})
    assert Ledger(tmp_path).orders() == {"digits": PINNED, "iris": Orders(off=True)}


def test_nothing_was_ordered_at_first(tmp_path: Path) -> None:
    assert Ledger(tmp_path).orders() == {}


async def test_one_has_its_turn_after_the_other(tmp_path: Path) -> None:
    second_had_it = asyncio.Event()

    async def second() -> None:
        async with Ledger(tmp_path).turn():
            second_had_it.set()

    async with Ledger(tmp_path).turn():
        waiting = asyncio.create_task(second())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
        assert not second_had_it.is_set()
    await asyncio.wait_for(waiting, 10)
    with Ledger(tmp_path).blocking_turn():
        waiting = asyncio.create_task(second())
        done, _ = await asyncio.wait({waiting}, timeout=0.1)
        assert not done
    await asyncio.wait_for(waiting, 10)
