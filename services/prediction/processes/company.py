"""What makes of a process one of several: the others, and a private socket for their calls."""

import asyncio
from contextlib import suppress

import grpc

from services.prediction.configuration import Scheduling
from services.prediction.data_plane import DataPlane
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc
from services.prediction.processes.ledger import Ledger
from services.prediction.processes.place import Place
from services.prediction.processes.servicers import InnerServicer, SharedServicer
from services.prediction.processes.siblings import Siblings
from services.prediction.servicer import Servicer
from services.prediction.streaming import Streams
from services.rpc.hosting import KEEPALIVE_OPTIONS
from services.rpc.status import StatusInterceptor

PATIENCE_S = 10.0
"""Seconds that a process which is started again may take until it answers, before it takes connections anyhow."""


class Company:
    """The others, seen from one process; make it inside a running event loop."""

    def __init__(
        self, place: Place, plane: DataPlane, scheduling: Scheduling, streams: Streams, max_request_rows: int
    ) -> None:
        self._place, self._plane = place, plane
        self._ledger, self._siblings = Ledger(place.folder), Siblings(place)
        parts = plane, scheduling, streams, max_request_rows
        self.servicer: Servicer = SharedServicer(*parts, self._ledger, self._siblings)
        """Answers callers."""
        self._inner = grpc.aio.server(interceptors=[StatusInterceptor()], options=KEEPALIVE_OPTIONS)
        inner = InnerServicer(*parts, self._ledger)
        pb_grpc.add_GRPCInferenceServiceServicer_to_server(inner, self._inner)

    async def start(self) -> None:
        """Take over what operators ordered, and listen to the others; no order can come between the two."""
        async with self._ledger.turn():
            self._plane.adopt(self._ledger.orders())
            self._inner.add_insecure_port(self._place.door(self._place.number))
            await self._inner.start()

    async def wait(self, synced: asyncio.Event) -> None:
        """Return when callers may come: while the others answer, not before this process does."""
        if self._place.again:
            with suppress(TimeoutError):
                await asyncio.wait_for(synced.wait(), PATIENCE_S)

    async def close(self) -> None:
        """Ask and answer the others no more."""
        await asyncio.gather(self._inner.stop(None), self._siblings.close())


class Alone:
    """One process, and no others."""

    def __init__(self, plane: DataPlane, scheduling: Scheduling, streams: Streams, max_request_rows: int) -> None:
        self.servicer = Servicer(plane, scheduling, streams, max_request_rows)

    async def start(self) -> None:
        """Nobody to listen to."""

    async def wait(self, synced: asyncio.Event) -> None:
        """Callers may come at once, and hear that the server is starting."""

    async def close(self) -> None:
        """Nothing to close."""
