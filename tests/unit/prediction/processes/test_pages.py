"""The sum over pages on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from services.prediction.processes.pages import Pages
from services.rpc.pages import show_page


@asynccontextmanager
async def page(path: Path, count: int) -> AsyncIterator[None]:
    registry = CollectorRegistry()
    Counter("loads", "A count.", registry=registry).inc(count)
    server = await show_page(registry, path)
    yield
    server.close()


async def loads(pages: Pages) -> float | None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(pages)
    return await asyncio.to_thread(registry.get_sample_value, "loads_total")


async def test_what_a_process_told_last_counts_when_it_is_silent_and_when_it_has_ended(tmp_path: Path) -> None:
    pids = {0: 100, 1: 101}
    pages = Pages(lambda: pids, lambda number: tmp_path / str(number))
    async with page(tmp_path / "0", 2):
        async with page(tmp_path / "1", 3):
            assert await loads(pages) == 5
        assert await loads(pages) == 5
        del pids[1]
        pages.ended(1)
        assert await loads(pages) == 5
        pids[1] = 102
        assert await loads(pages) == 5
        async with page(tmp_path / "1", 4):
            assert await loads(pages) == 9


async def test_a_look_is_enough_to_keep_what_was_counted(tmp_path: Path) -> None:
    pids = {0: 100}
    pages = Pages(lambda: pids, lambda number: tmp_path / str(number))
    async with page(tmp_path / "0", 2):
        await asyncio.to_thread(pages.look)
    del pids[0]
    pages.ended(0)
    assert await loads(pages) == 2
