"""Follows the registry's aliases: what they name is fetched, verified, loaded and swapped in; else the old stays.

Looks at the registry come one after the other, and a model is settled, under its lock, by what the last of them saw:
an older answer of the registry can never undo a newer one. A server that starts while the registry is away serves what
its memory has, until the registry answers.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine

from pipelines.registry.traffic import Registered
from services.prediction.desired import desired
from services.prediction.entry import NO_CHAMPION
from services.prediction.errors import LoadFailedError, RegistryAwayError, UnknownModelError, UnknownVersionError
from services.prediction.loading import Loading
from services.prediction.looks import Looks
from services.prediction.metrics import Metrics
from services.prediction.repository import VERSION, Repository
from services.prediction.settling import Settling
from services.prediction.sources import Source
from services.rpc.background import in_daemon_thread
from services.rpc.errors import InvalidRequestError

logger = logging.getLogger(__name__)

FIRST_ANSWER_S = 5.0
"""Seconds that a starting server waits for the registry before it serves what it remembers."""


class Follower:
    """Keeps the repository in step with the registry, and with what operators ask for."""

    def __init__(
        self,
        source: Source,
        repository: Repository,
        loading: Loading,
        metrics: Metrics,
        poll_interval_s: float,
        models: str = "*",
    ) -> None:
        self._source, self._repository, self._poll_interval_s = source, repository, poll_interval_s
        self._looks = Looks(source, models)
        self._settling = Settling(source, repository, loading, metrics, self._looks)
        self._works: set[asyncio.Task[None]] = set()
        self.synced = asyncio.Event()
        """Set when each version was loaded or refused: the registry's, or the remembered ones while it is away."""

    async def run(self) -> None:
        """Poll, and bring back what was evicted, until cancelled; nothing that goes wrong ends it."""
        loop = asyncio.get_running_loop()
        self._repository.asked = lambda model, version: loop.call_soon_threadsafe(self._bring_back, model, version)
        try:
            await self._poll()
        finally:
            for work in self._works:
                work.cancel()

    async def sync(self, patience_s: float | None = None) -> None:
        """One look at the registry, with whatever follows from it: what takes longer goes on beside the next look.

        Raises RegistryAwayError.
        """
        await self._looks.take(self._repository.known())
        models = self._looks.registered.keys() | self._repository.known().keys()
        works = [self._begin(self._settling.settle(model)) for model in sorted(models) if self._settling.is_due(model)]
        if works:
            await asyncio.wait(works, timeout=patience_s)
        self.synced.set()

    async def load(self, model: str, version: str = "") -> None:
        """Serve what the model's aliases name now, waiting times or not; a version is served from now on besides.

        Raises InvalidRequestError, UnknownModelError, RegistryAwayError or LoadFailedError.
        """
        version = _number(version)
        await self._looks.take(self._repository.known())
        if model not in self._looks.registered and model not in self._repository.known():
            raise UnknownModelError(model[:256])
        self._repository.order(model, self._repository.entry(model).orders.load(version))
        self._repository.wake(model, version)
        failures = await self._settling.settle(model, at_once=True)
        failures = [failure for failure in failures if version in ("", failure.version)]
        if failures and version:
            self._repository.order(model, self._repository.entry(model).orders.unpin(version))
        entry = self._repository.entry(model)
        if not failures and not desired(entry.aliases, entry.orders):
            failures = [LoadFailedError(model, "", NO_CHAMPION)]
        if failures:
            raise failures[0]

    async def unload(self, model: str, version: str = "") -> None:
        """Serve no more of the version, or of the model, until it is loaded again; requests under way finish.

        Raises InvalidRequestError, UnknownModelError or UnknownVersionError.
        """
        version = _number(version)
        entry = self._repository.known().get(model)
        if entry is None:
            raise UnknownModelError(model[:256])
        if version and version not in entry.versions:
            raise UnknownVersionError(model, version, entry.champion)
        self._repository.order(model, entry.orders.unload(version))
        logger.info("model %s: %s unloaded", model, f"version {version}" if version else "all versions")

    async def _poll(self) -> None:
        while True:
            try:
                if not self.synced.is_set():
                    await self._recall_unless_answered()
                await self.sync(self._poll_interval_s if self.synced.is_set() else None)
            except RegistryAwayError:
                pass  # logged where it was noticed; what is served goes on
            except Exception:
                logger.exception("following the registry failed; trying again")
            await asyncio.sleep(self._poll_interval_s)

    def _bring_back(self, model: str, version: str) -> None:
        if self._repository.wake(model, version):
            self._begin(self._settling.settle(model))

    def _begin(self, work: Coroutine[None, None, object]) -> asyncio.Task[None]:
        """Do it beside what else there is to do."""
        task = asyncio.create_task(_unless_it_fails(work))
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        return task

    async def _recall_unless_answered(self) -> None:
        """Serve what is remembered, if there is anything and the registry does not answer soon."""
        aliases = self._looks.followed(await in_daemon_thread(self._source.remembered))
        remembered = {model: Registered(named) for model, named in aliases.items()}
        if not remembered:
            return
        if await self._answers_soon(remembered):
            for model in remembered.keys() - self._looks.registered.keys():  # deleted since
                await in_daemon_thread(self._source.forget, model)
            return
        self._looks.registered = remembered
        await asyncio.wait([self._begin(self._settling.recall(model, known)) for model, known in remembered.items()])
        self.synced.set()
        logger.warning("the registry is away: the versions that served last are taken out of the cache")

    async def _answers_soon(self, expected: Collection[str]) -> bool:
        try:
            async with asyncio.timeout(FIRST_ANSWER_S):
                await self._looks.take(expected)
        except TimeoutError:
            logger.warning("the registry did not answer within %g s", FIRST_ANSWER_S)
            return False
        except RegistryAwayError:
            return False  # logged where it was noticed
        return True


def _number(version: str) -> str:
    """The version without leading zeros; empty stays empty. Raises InvalidRequestError."""
    if version and not VERSION.fullmatch(version):
        raise InvalidRequestError("parameters[version]", "an integer", repr(version[:64]))
    return version and str(int(version))


async def _unless_it_fails(work: Coroutine[None, None, object]) -> None:
    try:
        await work
    except UnknownModelError:
        pass  # it was deleted meanwhile
    except Exception:
        logger.exception("following a model failed; the next look tries again")
