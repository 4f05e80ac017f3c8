"""Either client, asked the same way: the server runs in this event loop, so the synchronous one gets threads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from services.prediction.client import AsyncPredictionClient, PredictionClient

Kind = Literal["sync", "aio"]
both = pytest.mark.parametrize("kind", ["sync", "aio"])


class Asking:
    """Calls a method by name, without blocking the event loop."""

    def __init__(self, client: PredictionClient | AsyncPredictionClient) -> None:
        self._client = client

    async def __call__(self, method: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - as many as methods
        call = getattr(self._client, method)
        if isinstance(self._client, PredictionClient):
            return await asyncio.to_thread(call, *args, **options)
        return await call(*args, **options)


@asynccontextmanager
async def asking(kind: Kind, address: str, token: str | None = None, **options: Any) -> AsyncIterator[Asking]:  # noqa: ANN401 - the clients' own
    """A client of that kind, closed with the block."""
    if kind == "sync":
        with PredictionClient(address, token, **options) as client:
            yield Asking(client)
    else:
        async with AsyncPredictionClient(address, token, **options) as client:
            yield Asking(client)
