"""The REST port: uvicorn in the server's own event loop, without its signals, its log of accesses and its exits."""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from services.prediction.rest.protocol import guarded
from services.prediction.rest.tls import server_context
from services.prediction.settings import Settings
from services.rpc.errors import PortTakenError

logger = logging.getLogger(__name__)

IDLE_S = 60
"""Seconds that a connection may wait between two requests; longer than most clients and proxies keep one."""


@dataclass(frozen=True)
class _Running:
    server: uvicorn.Server
    listening: socket.socket
    loop: "asyncio.Task[None]"


class RestServer:
    """Serves an application beside gRPC; `port` is known after `start`. Raises InvalidSettingsError.

    With `reuse_port` other processes of this user may listen there too.
    """

    def __init__(self, app: ASGIApp, settings: Settings, *, reuse_port: bool = False) -> None:
        self._reuse_port = reuse_port
        self._app, self._settings, self._tls = app, settings, server_context(settings)
        self._running: _Running | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises PortTakenError."""
        listening = self._bind()
        self.port = listening.getsockname()[1]
        server = uvicorn.Server(_config(self._app, self._settings, self._tls))
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup(sockets=[listening])
        self._running = _Running(server, listening, asyncio.create_task(server.main_loop()))
        logger.info("REST on %s:%d", self._settings.host, self.port)

    async def close(self, grace_s: float) -> None:
        """Close the port; answers that are on their way get `grace_s` seconds. A second call may cut that short."""
        if self._running is None:
            return
        server, task = self._running.server, self._running.loop
        task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await server.shutdown(sockets=[self._running.listening])
        server.force_exit = True  # of a call before that still waits
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        for request in list(server.server_state.tasks):
            request.cancel()

    def _bind(self) -> socket.socket:
        host, port = self._settings.host.strip("[]"), self._settings.rest_port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, reuse_port=self._reuse_port)
        except OSError as error:
            raise PortTakenError("REST", f"{self._settings.host}:{port}") from error


class NullRest:
    """No REST port."""

    port = 0

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self, grace_s: float) -> None:
        """Nothing to close."""


def _config(app: ASGIApp, settings: Settings, tls: ssl.SSLContext | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=guarded(settings.rest_max_connections, settings.rest_read_timeout_s),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=logging.ERROR,  # a client's malformed request is no event
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_S,
    )
    config.load()
    config.ssl = tls
    return config
