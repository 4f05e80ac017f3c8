"""What every service listens with: a gRPC server with health and reflection, a metrics page, and an orderly end."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server
from prometheus_client import CollectorRegistry, start_http_server

from services.rpc.background import in_daemon_thread
from services.rpc.errors import PortTakenError
from services.rpc.pages import show_page
from services.rpc.settings import HostSettings
from services.rpc.tls import server_credentials

logger = logging.getLogger(__name__)

KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS = 60_000, 20_000
"""A watcher whose machine is gone is noticed."""

KEEPALIVE_OPTIONS = [
    ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients that ping more often are sent away
]


class Front(Protocol):
    """Takes the port in the place of the gRPC server, and hands the calls that it does not answer to it."""

    def bind(self, address: str, *, reuse_port: bool) -> int:
        """Take the port, or a share of it; 0 is a free one. Raises OSError."""

    def start(self, behind: str) -> None:
        """Begin to answer; `behind` is the path of the gRPC server's socket. Call it inside a running event loop."""

    def wait_until_idle(self) -> None:
        """Block until no call waits for the front's own answer."""

    def close(self) -> None:
        """Close the port, with whatever is still under way."""


class Host:
    """One listening server for `service`; its health says NOT_SERVING until told otherwise.

    With a `page` it is one of several processes that share the port, and shows its metrics on that unix socket alone.
    Call it inside a running event loop. `port` and `metrics_port` are known after `start`. Raises InvalidSettingsError
    for certificates that do not fit.
    """

    def __init__(
        self,
        settings: HostSettings,
        service: str,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        metrics: CollectorRegistry,
        front: Front | None = None,
        page: Path | None = None,
    ) -> None:
        self._settings, self._service, self._registry, self._front = settings, service, metrics, front
        self._page, self._reuse_port = page, page is not None
        self._behind = ""  # the path of the socket behind the front
        self._opened = ExitStack()
        self._credentials = server_credentials(settings)
        self.port = self.metrics_port = 0
        self.grpc = grpc.aio.server(
            interceptors=interceptors,
            options=[
                ("grpc.so_reuseport", int(self._reuse_port)),  # else a taken port is an error
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                *KEEPALIVE_OPTIONS,
            ],
        )
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        if settings.reflection:
            names = (service, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")
            add_ServerReflectionServicer_to_server(ReflectionServicer(names), self.grpc)  # type: ignore[no-untyped-call]  # its stub lacks this one
        self._metrics_http: WSGIServer | None = None

    async def start(self) -> None:
        """Listen. Raises PortTakenError."""
        await self.set_serving(serving=False)
        self.port = self._bind()
        self.metrics_port = await self._start_metrics()
        await self.grpc.start()
        if self._front is not None:
            self._front.start(self._behind)
        kind = "in plain text" if self._credentials is None else "with TLS"
        page = f"port {self.metrics_port}" if self._page is None else "the port of all processes"
        logger.info("listening on %s:%d %s, metrics on %s", self._settings.host, self.port, kind, page)

    async def set_serving(self, *, serving: bool) -> None:
        """What health says of the whole server and of the service."""
        states = health_pb2.HealthCheckResponse
        for service in ("", self._service):
            await self._health.set(service, states.SERVING if serving else states.NOT_SERVING)

    async def leave(self) -> None:
        """NOT_SERVING for good; the port stays open, so that health checks are answered."""
        await self._health.enter_graceful_shutdown()

    async def drained(self) -> None:
        """Return when no call waits for the front's answer."""
        if self._front is not None:
            await in_daemon_thread(self._front.wait_until_idle)

    async def close(self, grace_s: float) -> None:
        """Close the ports; calls that are still under way get `grace_s` seconds to end."""
        await self.grpc.stop(grace_s)
        if self._front is not None:
            self._front.close()
        self._opened.close()
        http, self._metrics_http = self._metrics_http, None  # a second call may come while this one waits
        if http is not None:
            await asyncio.to_thread(http.shutdown)
            http.server_close()

    def _bind(self) -> int:
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            if self._credentials is not None:
                return self.grpc.add_secure_port(address, self._credentials)
            if self._front is None:
                return self.grpc.add_insecure_port(address)
            folder = TemporaryDirectory(prefix="drivetrain-", ignore_cleanup_errors=True)
            self._behind = f"{self._opened.enter_context(folder)}/grpc.sock"
            self.grpc.add_insecure_port(f"unix:{self._behind}")
            return self._front.bind(address, reuse_port=self._reuse_port)
        except (RuntimeError, OSError) as error:
            raise PortTakenError("gRPC", address) from error

    async def _start_metrics(self) -> int:
        if self._page is not None:
            self._opened.callback((await show_page(self._registry, self._page)).close)
            return 0
        host, port = self._settings.host, self._settings.metrics_port
        try:
            self._metrics_http, _ = start_http_server(port, host, self._registry)
        except OSError as error:
            raise PortTakenError("metrics", f"{host}:{port}") from error
        return self._metrics_http.server_port


class Server(Protocol):
    """What `run_until_signal` runs."""

    async def start(self) -> None:
        """Listen and begin to work."""

    async def stop(self, grace_s: float) -> None:
        """Finish what is under way within the time, then close everything; a second call may cut the first short."""


async def run_until_signal(server: Server, grace_s: float) -> None:
    """Run a server until SIGTERM or SIGINT, then let requests finish; a second signal ends them at once."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, signals.put_nowait, each)
    try:
        await server.start()
        logger.info("%s: stopping, requests get %g s to finish", (await signals.get()).name, grace_s)
    finally:
        await _stop(server, grace_s, signals)
    logger.info("stopped")


async def _stop(server: Server, grace_s: float, signals: "asyncio.Queue[signal.Signals]") -> None:
    stopping = asyncio.create_task(server.stop(grace_s))
    again = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
    if not again.cancel():
        logger.warning("%s again: stopping now", again.result().name)
        with suppress(asyncio.CancelledError):
            await server.stop(0)
    await stopping
