"""What the service does, whichever transport asks: look up, count, refuse when stopping. Knows no messages."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.prediction.desired import Orders
from services.prediction.entry import ServedVersion
from services.prediction.errors import StartingError
from services.prediction.follower import Follower
from services.prediction.repository import IndexRow, Repository
from services.rpc.errors import NotFoundError, StoppingError


class DataPlane:
    """The service behind a servicer."""

    def __init__(self, repository: Repository, follower: Follower) -> None:
        self._repository, self._follower = repository, follower
        self._stopping = False
        self.num_active = 0  # requests under way
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def ready(self) -> bool:
        """Whether the registry or the cache was read, each champion loaded or refused, and the server not stopping."""
        return self._follower.synced.is_set() and not self._stopping

    @property
    def busy(self) -> bool:
        """Whether a model still has something to do, whoever waits for it."""
        return self._repository.busy

    @property
    def generation(self) -> tuple[int, bool]:
        """Differs as soon as `find` could answer otherwise than before."""
        return self._repository.generation, self._stopping

    def find(self, name: str, version: str, alias: str = "", key: str = "") -> ServedVersion:
        """The version that answers a request now, by the model's traffic rule; may be called in any thread.

        Raises StoppingError, StartingError and whatever `Repository.route` raises.
        """
        if self._stopping:
            raise StoppingError
        with self._perhaps_starting():
            return self._repository.route(name, version, alias, key)

    def is_shared(self, name: str, version: str, alias: str = "") -> bool:
        """Whether `find` may answer differently each time, though nothing changes."""
        return self._repository.is_shared(name, version, alias)

    @contextmanager
    def request(self, name: str, version: str, alias: str = "", key: str = "") -> Iterator[ServedVersion]:
        """The version that answers this request, counted in its metrics.

        Raises what `find` raises.
        """
        served = self.find(name, version, alias, key)
        self.num_active += 1
        self._idle.clear()
        started_s = time.monotonic()
        try:
            yield served
        except BaseException as error:
            served.metrics.failed(error, time.monotonic() - started_s)
            raise
        finally:
            self.num_active -= 1
            if self.num_active == 0:
                self._idle.set()

    def model(self, name: str, version: str, alias: str = "") -> ServedVersion:
        """The version that would answer. Raises StartingError and what `Repository.find` raises."""
        with self._perhaps_starting():
            return self._repository.find(name, version, alias)

    def model_ready(self, name: str, version: str, alias: str = "") -> bool:
        """Whether a request would be run. Raises StartingError and what `Repository.is_ready` raises."""
        with self._perhaps_starting():
            return self._repository.is_ready(name, version, alias) and not self._stopping

    def served(self, name: str, version: str) -> list[ServedVersion]:
        """The versions that serve: this one, all of the model, or of every model for the empty name.

        Raises what `Repository.find` raises.
        """
        return [self._repository.find(name, version)] if version else self._repository.served(name)

    def index(self, *, ready_only: bool) -> list[IndexRow]:
        """The known models' versions with their state."""
        return [row for row in self._repository.index() if row.state == "READY" or not ready_only]

    async def load(self, name: str, version: str = "") -> None:
        """Serve what the registry's aliases name now, or this version besides. Raises what `Follower.load` raises."""
        await self._follower.load(name, version)

    async def unload(self, name: str, version: str = "") -> None:
        """Serve no more of the model, or of this version, until it is loaded. Raises what `Follower.unload` raises."""
        await self._follower.unload(name, version)

    def orders(self, name: str) -> dict[str, Orders]:
        """What operators asked for of the model, by its name; empty if it is not known."""
        entry = self._repository.known().get(name)
        return {} if entry is None else {name: entry.orders}

    def adopt(self, orders: Mapping[str, Orders]) -> None:
        """Do what operators asked of another process, by the models' names."""
        for name, each in orders.items():
            self._repository.order(name, each)

    async def drain(self) -> None:
        """Take no more requests, and return when those under way are done."""
        self._stopping = True
        await self._idle.wait()

    @contextmanager
    def _perhaps_starting(self) -> Iterator[None]:
        """What is not found may well be there as soon as the registry was read."""
        try:
            yield
        except NotFoundError as error:
            if not self._follower.synced.is_set():
                raise StartingError from error
            raise
