"""Puts one version in service: fetched, verified, loaded, room made for it. What was refused waits longer each time."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pipelines.errors import PackageError, RegistryError
from pipelines.registry.package import Package
from services.prediction.desired import CHAMPION
from services.prediction.entry import ServedVersion
from services.prediction.errors import LoadFailedError
from services.prediction.eviction import estimated_bytes, fits, leaving
from services.prediction.metrics import Metrics
from services.prediction.repository import Repository
from services.rpc.background import in_daemon_thread

logger = logging.getLogger(__name__)

MAX_BACKOFF_S = 300.0

Get = Callable[[str, str], Package]
"""Gets a version's verified package; blocks, and raises RegistryError."""
Loader = Callable[[str, str, Package], ServedVersion]
"""Makes a verified package ready to serve; blocks, and raises PackageError."""


@dataclass(frozen=True)
class Attempt:
    """Failed attempts at one version, and when (of `time.monotonic()`) the next is due."""

    failures: int
    due_s: float


class Loading:
    """The way of a version into the repository."""

    def __init__(
        self, repository: Repository, load: Loader, metrics: Metrics, patience_s: float, memory_max_bytes: int = 0
    ) -> None:
        self._repository, self._load, self._metrics = repository, load, metrics
        self._patience_s, self._memory_max_bytes = patience_s, memory_max_bytes
        self._attempts: dict[tuple[str, str], Attempt] = {}

    def is_due(self, model: str, version: str) -> bool:
        """Whether the version is not waiting after a failure."""
        attempt = self._attempts.get((model, version))
        return attempt is None or time.monotonic() >= attempt.due_s

    def forget(self, model: str, kept: Collection[str] = ()) -> None:
        """The model's versions but the kept ones are to be tried at once, should they be wanted again."""
        for key in [key for key in self._attempts if key[0] == model and key[1] not in kept]:
            del self._attempts[key]

    async def put_in_service(self, model: str, version: str, get: Get) -> None:
        """Load the version and swap it in. Raises LoadFailedError; what was served before goes on."""
        started_s = time.monotonic()
        self._repository.begin(model, version)
        try:
            package = await in_daemon_thread(get, model, version)
            self._check_memory(model, version, package)
            served = await asyncio.to_thread(self._load, model, version, package)
        except RegistryError as error:
            self._refuse(model, version, str(error))
            raise LoadFailedError(model, version, str(error)) from error
        except asyncio.CancelledError:
            self._repository.refuse(model, version, "its loading was broken off")
            raise
        except Exception:
            self._refuse(model, version, "an unexpected error, see the server's log")
            raise
        self._repository.swap(served)
        self._attempts.pop((model, version), None)
        self._metrics.loads.labels(model).inc()
        logger.info("model %s: version %s serves, loaded in %.2f s", model, version, time.monotonic() - started_s)
        self._make_room()

    def _check_memory(self, model: str, version: str, package: Package) -> None:
        is_champion = self._repository.entry(model).aliases.get(CHAMPION) == version
        needed_bytes = estimated_bytes(len(package.model))
        if not is_champion and not fits(needed_bytes, self._repository.residents(), self._memory_max_bytes):
            raise PackageError(
                f"it takes {needed_bytes} bytes of memory, and beside the champions there is no room for that:"
                f" memory_max_bytes is {self._memory_max_bytes}"
            )

    def _make_room(self) -> None:
        for each in leaving(self._repository.residents(), self._memory_max_bytes):
            self._repository.evict(each.name, each.version)
            logger.info("model %s: version %s leaves the memory to others", each.name, each.version)

    def _refuse(self, model: str, version: str, reason: str) -> None:
        self._repository.refuse(model, version, reason)
        self._metrics.load_failures.labels(model).inc()
        last = self._attempts.get((model, version), Attempt(0, 0.0))
        failures = last.failures + 1
        wait_s = min(self._patience_s * 2**failures, MAX_BACKOFF_S)
        self._attempts[model, version] = Attempt(failures, time.monotonic() + wait_s)
        if failures == 1:
            logger.error("model %s: version %s was refused, what was served stays: %s", model, version, reason)
