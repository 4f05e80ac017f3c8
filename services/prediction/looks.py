"""Looks at the registry, one after the other: an older answer can never come after a newer one."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import ParamSpec, TypeVar

from pipelines.errors import RegistryError
from pipelines.registry.traffic import Registered
from services.prediction.errors import RegistryAwayError
from services.prediction.sources import Source
from services.rpc.background import in_daemon_thread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ANSWER_S = 60.0
"""Seconds after which a registry that trickles its answer is taken to be away."""


class Looks:
    """What the registry has of the models that the patterns name."""

    def __init__(self, source: Source, models: str) -> None:
        self._source = source
        self._patterns = [pattern.strip() for pattern in models.split(",")]
        self._looking = asyncio.Lock()
        self._away = False
        self.registered: Mapping[str, Registered] = {}
        """What the last look saw."""

    async def take(self, expected: Collection[str]) -> None:
        """See what the registry has now. Raises RegistryAwayError, also if it makes no sense.

        A list without a model that is `expected` is not enough to forget it: the answer `{}` of something that
        is no registry reads like an empty one. So the registry is asked about the model by its name.
        """
        async with self._looking:
            registered = self.followed(await self._ask(self._source.models))
            for model in set(expected) - registered.keys():
                if await self._ask(self._source.is_registered, model):
                    raise self._noticed_away(f"its list lacks {model!r}, which it has")
            if self._away:
                logger.info("the registry can be reached again")
            self._away = False
            self.registered = registered

    async def _ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The registry's answer. Raises RegistryAwayError."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await in_daemon_thread(question, *args, **kwargs)
        except RegistryError as error:
            raise self._noticed_away(str(error)) from error
        except TimeoutError as error:
            raise self._noticed_away(f"no answer within {ANSWER_S:g} s") from error

    def _noticed_away(self, reason: str) -> RegistryAwayError:
        if not self._away:
            logger.warning("the registry cannot be reached, what is served goes on: %s", reason)
        self._away = True
        return RegistryAwayError()

    def followed(self, registered: Mapping[str, T]) -> Mapping[str, T]:
        """Those of the models that the patterns name."""
        return {
            model: found
            for model, found in registered.items()
            if any(fnmatchcase(model, pattern) for pattern in self._patterns)
        }
