"""Brings a model in step with what the registry was last seen to name, and with what operators ask for."""

import asyncio
import logging
from collections import defaultdict
from contextlib import suppress

from pipelines.errors import RegistryError
from pipelines.registry.traffic import Registered
from services.prediction.desired import desired
from services.prediction.entry import NO_CHAMPION
from services.prediction.errors import LoadFailedError, UnknownModelError
from services.prediction.loading import Get, Loading
from services.prediction.looks import Looks
from services.prediction.metrics import Metrics
from services.prediction.repository import Repository
from services.prediction.sources import Source
from services.rpc.background import in_daemon_thread

logger = logging.getLogger(__name__)


class Settling:
    """Settles models, each under its lock: two never work on the same one."""

    def __init__(
        self, source: Source, repository: Repository, loading: Loading, metrics: Metrics, looks: Looks
    ) -> None:
        self._source, self._repository, self._loading, self._metrics = source, repository, loading, metrics
        self._looks = looks
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def is_due(self, model: str) -> bool:
        """Whether the model differs from what is served, and is not waiting after a failure.

        Where somebody is at it already, the next look sees to the rest.
        """
        if self._locks[model].locked():
            return False
        entry, registered = self._repository.known().get(model), self._looks.registered.get(model)
        if entry is None or registered is None or Registered(entry.aliases, entry.rule) != registered:
            return True
        return any(self._loading.is_due(model, version) for version in entry.missing())

    async def settle(self, model: str, *, at_once: bool = False) -> list[LoadFailedError]:
        """Do what the last look, and the operators, ask for. Raises UnknownModelError; returns what was refused."""
        async with self._locks[model]:
            registered = self._looks.registered.get(model)
            if registered is not None:
                failures = await self._serve(model, registered, self._source.fetch, at_once=at_once)
                await self._note_promotion(model)
                return failures
            await in_daemon_thread(self._source.forget, model)
            self._forget(model)
            raise UnknownModelError(model)

    async def recall(self, model: str, registered: Registered) -> None:
        """Serve what is remembered of a model, unless it is served already."""
        async with self._locks[model]:
            if model not in self._repository.known():
                await self._serve(model, registered, self._source.recall, at_once=True)

    async def _serve(self, model: str, registered: Registered, get: Get, *, at_once: bool) -> list[LoadFailedError]:
        self._follow(model, registered)
        failures = []
        for version in self._repository.entry(model).missing():
            wanted = version in self._repository.entry(model).missing()  # it may have been unloaded meanwhile
            if wanted and (at_once or self._loading.is_due(model, version)):
                try:
                    await self._loading.put_in_service(model, version, get)
                except LoadFailedError as failure:
                    failures.append(failure)
        await self._remember(model)
        return failures

    def _follow(self, model: str, registered: Registered) -> None:
        before = self._repository.entry(model)
        champion, rule = before.champion, registered.rule
        self._repository.follow(model, registered.aliases, rule)
        if rule.problem and rule != before.rule:
            logger.warning("model %s: served without a traffic rule: %s", model, rule.problem)
        for counter in (self._metrics.loads, self._metrics.load_failures):
            counter.labels(model)  # from 0 on: a rate misses what begins at 1
        entry = self._repository.entry(model)
        self._loading.forget(model, kept=desired(registered.aliases, entry.orders))
        if champion and not entry.champion and not entry.orders.off:
            logger.warning("model %s: version %s retired, %s", model, champion, NO_CHAMPION)

    async def _remember(self, model: str) -> None:
        entry = self._repository.entry(model)
        if entry.answering:
            await in_daemon_thread(self._source.remember, model, entry.answering)
        elif not entry.aliases:
            await in_daemon_thread(self._source.forget, model)

    async def _note_promotion(self, model: str) -> None:
        """Find out who promoted the champion, if that is not known; the index does without if it cannot be had."""
        entry = self._repository.entry(model)
        if entry.champion and (entry.promotion is None or entry.promotion.version != entry.champion):
            with suppress(RegistryError):
                self._repository.note(model, await in_daemon_thread(self._source.promotion, model, entry.champion))

    def _forget(self, model: str) -> None:
        if model in self._repository.known():
            logger.warning("model %s: no longer registered", model)
        self._repository.forget(model)
        self._loading.forget(model)
