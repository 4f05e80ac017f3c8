"""Follows the registry's champions: a promoted version is fetched, verified, loaded and swapped in; else the old stays.

Polling and RepositoryModelLoad come through `_follow`, which holds the model's lock and reads the alias inside it, so
an older answer of the registry can never undo a newer one. A server that starts while the registry is away serves what
its memory has, until the registry answers.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.errors import RegistryError
from pipelines.registry.package import Package
from services.prediction.errors import LoadFailedError, RegistryAwayError, UnknownModelError
from services.prediction.metrics import Metrics
from services.prediction.repository import Repository, ServedVersion
from services.prediction.sources import Memory, VersionSource
from services.rpc.background import in_daemon_thread

logger = logging.getLogger(__name__)

MAX_BACKOFF_S = 300.0
FIRST_ANSWER_S = 5.0
"""Seconds that a starting server waits for the registry before it serves what it remembers."""
NO_CHAMPION = "no version of it is champion"


Loader = Callable[[str, str, Package], ServedVersion]
"""Makes a verified package ready to serve; blocks, and raises PackageError."""


@dataclass(frozen=True)
class Attempt:
    """Failed attempts at one version, and when (of `time.monotonic()`) the next is due."""

    version: str
    failures: int
    due_s: float


class Follower:
    """Keeps the repository in step with the registry."""

    def __init__(
        self,
        source: VersionSource,
        memory: Memory,
        repository: Repository,
        load: Loader,
        metrics: Metrics,
        poll_interval_s: float,
    ) -> None:
        self._source, self._memory, self._repository = source, memory, repository
        self._load, self._metrics, self._poll_interval_s = load, metrics, poll_interval_s
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._attempts: dict[str, Attempt] = {}
        self._away = False
        self.synced = asyncio.Event()
        """Set when each champion was loaded or refused: the registry's, or the remembered ones while it is away."""

    async def run(self) -> None:
        """Poll until cancelled; nothing that goes wrong ends it."""
        while True:
            try:
                if not self.synced.is_set():
                    await self._recall_unless_answered()
                await self.sync()
            except RegistryAwayError:
                pass  # logged where it was noticed; what is served goes on
            except Exception:
                logger.exception("following the registry failed; trying again")
            await asyncio.sleep(self._poll_interval_s)

    async def sync(self) -> None:
        """One look at the registry, with whatever follows from it. Raises RegistryAwayError."""
        champions = await self._champions()
        models = champions.keys() | self._repository.known().keys()
        changed = [model for model in sorted(models) if self._is_due(model, champions)]
        unexpected = await _unexpected(map(self._follow, changed))
        if not any(isinstance(outcome, RegistryAwayError) for outcome in unexpected):
            self.synced.set()
        if unexpected:
            raise unexpected[0]

    async def refresh(self, model: str) -> None:
        """Serve the model's champion now, backoff or not.

        Raises UnknownModelError, RegistryAwayError or LoadFailedError.
        """
        if model not in await self._champions() and model not in self._repository.known():
            raise UnknownModelError(model[:256])
        await self._follow(model)

    async def _recall_unless_answered(self) -> None:
        """Serve what is remembered, if there is anything and the registry does not answer soon."""
        remembered = await in_daemon_thread(self._memory.remembered)
        if not remembered:
            return
        champions = await self._champions_soon()
        if champions is not None:
            for model in remembered.keys() - champions.keys():  # deleted since
                await in_daemon_thread(self._memory.forget, model)
            return
        unexpected = await _unexpected(self._recall(model, version) for model, version in remembered.items())
        self.synced.set()
        logger.warning("the registry is away: the versions that served last are taken out of the cache")
        if unexpected:
            raise unexpected[0]

    async def _champions_soon(self) -> Mapping[str, str | None] | None:
        """The registry's answer; None if it does not come, or not in time."""
        try:
            async with asyncio.timeout(FIRST_ANSWER_S):
                return await self._champions()
        except TimeoutError:
            logger.warning("the registry did not answer within %g s", FIRST_ANSWER_S)
        except RegistryAwayError:
            pass  # logged where it was noticed
        return None

    async def _recall(self, model: str, version: str) -> None:
        async with self._locks[model]:
            entry = self._repository.known().get(model)
            if entry is None or entry.served is None:
                await self._replace(model, version, self._memory.recall)

    def _is_due(self, model: str, champions: Mapping[str, str | None]) -> bool:
        """Whether the model differs from what is served, and is not waiting after a failure."""
        entry, attempt = self._repository.known().get(model), self._attempts.get(model)
        if entry is not None and model in champions and entry.settled_on(champions[model]):
            return False
        return attempt is None or attempt.version != champions.get(model) or time.monotonic() >= attempt.due_s

    async def _follow(self, model: str) -> None:
        async with self._locks[model]:
            champions = await self._champions()
            if champions.get(model) is None:
                await in_daemon_thread(self._memory.forget, model)
            if model not in champions:
                self._forget(model)
                raise UnknownModelError(model)
            version, entry = champions[model], self._repository.known().get(model)
            if version is None:
                self._retire(model)
                raise LoadFailedError(model, "", NO_CHAMPION)
            if entry is not None and entry.served is not None and entry.served.version == version:
                self._repository.clear_refusal(model)
            else:
                await self._replace(model, version, self._fetch)
            await in_daemon_thread(self._memory.remember, model, version)
            self._attempts.pop(model, None)

    async def _replace(self, model: str, version: str, get: Callable[[str, str], Package]) -> None:
        started_s = time.monotonic()
        try:
            package = await in_daemon_thread(get, model, version)
            served = await asyncio.to_thread(self._load, model, version, package)
        except RegistryError as error:
            self._refuse(model, version, str(error))
            raise LoadFailedError(model, version, str(error)) from error
        except Exception:
            self._refuse(model, version, "an unexpected error, see the server's log")
            raise
        self._repository.swap(served)
        self._metrics.loads.labels(model).inc()
        logger.info("model %s: version %s serves, loaded in %.2f s", model, version, time.monotonic() - started_s)

    def _fetch(self, model: str, version: str) -> Package:
        with TemporaryDirectory(prefix="drivetrain-") as directory:
            return self._source.fetch(model, version, Path(directory))

    def _refuse(self, model: str, version: str, reason: str) -> None:
        self._repository.refuse(model, version, reason)
        self._metrics.load_failures.labels(model).inc()
        last = self._attempts.get(model)
        failures = last.failures + 1 if last is not None and last.version == version else 1
        wait_s = min(self._poll_interval_s * 2**failures, MAX_BACKOFF_S)
        self._attempts[model] = Attempt(version, failures, time.monotonic() + wait_s)
        if failures == 1:
            logger.error("model %s: version %s was refused, what was served stays: %s", model, version, reason)

    def _retire(self, model: str) -> None:
        entry = self._repository.known().get(model)
        if entry is not None and entry.served is not None:
            logger.warning("model %s: version %s retired, %s", model, entry.served.version, NO_CHAMPION)
        self._repository.retire(model, NO_CHAMPION)
        self._attempts.pop(model, None)

    def _forget(self, model: str) -> None:
        if model in self._repository.known():
            logger.warning("model %s: no longer registered", model)
        self._repository.forget(model)
        self._attempts.pop(model, None)

    async def _champions(self) -> Mapping[str, str | None]:
        try:
            champions = await in_daemon_thread(self._source.champions)
        except RegistryError as error:
            if not self._away:
                logger.warning("the registry cannot be reached, what is served goes on: %s", error)
            self._away = True
            raise RegistryAwayError from error
        if self._away:
            logger.info("the registry can be reached again")
        self._away = False
        return champions


async def _unexpected(works: Iterable[Awaitable[None]]) -> list[BaseException]:
    """Do all of it at a time; return what went wrong otherwise than models do."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    return [each for each in outcomes if each is not None and not isinstance(each, LoadFailedError | UnknownModelError)]
