"""What operators ordered, in a file that all processes read: one that is started again knows what the others were told.

Only one process at a time changes what all of them serve, so that two orders cannot cross on their way to the others.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter

from services.prediction.desired import Orders

TRY_AGAIN_S = 0.01

_FORM = TypeAdapter(dict[str, Orders])


class Ledger:
    """The file in this folder."""

    def __init__(self, folder: Path) -> None:
        self._orders, self._turn = folder / "orders.json", folder / "turn"

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """No other process has one meanwhile; it ends with the process, however that ends."""
        with self._turn.open("w") as file:
            while not _is_locked(file):  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(TRY_AGAIN_S)
            yield

    @contextmanager
    def blocking_turn(self) -> Iterator[None]:
        """The same where there is no event loop yet."""
        with self._turn.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def orders(self) -> dict[str, Orders]:
        """By model; those without any are left out."""
        return _FORM.validate_json(self._orders.read_bytes()) if self._orders.exists() else {}

    def note(self, orders: Mapping[str, Orders]) -> None:
        """These are the orders of these models now. Only in one's turn."""
        written = self._orders.with_suffix(".new")
        written.write_bytes(_FORM.dump_json(self.orders() | dict(orders)))
        written.replace(self._orders)


def _is_locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
