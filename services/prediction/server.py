"""The composition root: `build` puts one prediction server together, `serve` runs it until a signal comes."""

import asyncio
import logging
import signal
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from wsgiref.simple_server import WSGIServer

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha._async import ReflectionServicer
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server
from prometheus_client import start_http_server

from pipelines.registry.package import Package
from services.prediction.authorization import SERVICE, AuthorizationInterceptor, read_tokens
from services.prediction.batcher import Batcher
from services.prediction.data_plane import DataPlane
from services.prediction.errors import PortTakenError
from services.prediction.follower import Follower, VersionSource
from services.prediction.metrics import Metrics
from services.prediction.model import load
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc
from services.prediction.repository import Repository, ServedVersion
from services.prediction.servicer import Servicer
from services.prediction.settings import Settings
from services.prediction.status import StatusInterceptor

logger = logging.getLogger(__name__)

FLUSH_S = 0.5
"""Seconds for the last answers to leave; health watchers, who never leave by themselves, are cut off after it."""

REFLECTED_SERVICES = (SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection")


class PredictionServer:
    """One server, ready to start; `build` makes it. `port` and `metrics_port` are known after `start`."""

    def __init__(
        self,
        settings: Settings,
        grpc_server: grpc.aio.Server,
        plane: DataPlane,
        follower: Follower,
        metrics: Metrics,
        executor: Executor,
    ) -> None:
        self._settings, self._grpc, self._follower, self._metrics = settings, grpc_server, follower, metrics
        self._executor = executor
        self.plane = plane
        self.port = self.metrics_port = 0
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, grpc_server)
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics_http: WSGIServer | None = None

    async def start(self) -> None:
        """Listen, and begin to follow the registry; health says SERVING once it was read. Raises PortTakenError."""
        await self._set_health(serving=False)
        self.port = self._bind_grpc()
        self.metrics_port = self._start_metrics()
        await self._grpc.start()
        self._tasks = [asyncio.create_task(self._follower.run()), asyncio.create_task(self._report_ready())]
        logger.info("listening on %s:%d, metrics on port %d", self._settings.host, self.port, self.metrics_port)

    async def stop(self, grace_s: float) -> None:
        """NOT_SERVING, nothing new, up to `grace_s` seconds for the requests under way; then close everything.

        Until they are done the port stays open, so that health checks are answered and new requests hear why not.
        """
        await self._health.enter_graceful_shutdown()
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.plane.drain()
        await self._grpc.stop(min(grace_s, FLUSH_S))
        self._executor.shutdown(wait=False)
        await self._stop_metrics()

    async def _stop_metrics(self) -> None:
        http, self._metrics_http = self._metrics_http, None  # a second stop may come while this one waits
        if http is not None:
            await asyncio.to_thread(http.shutdown)
            http.server_close()

    async def _report_ready(self) -> None:
        await self._follower.synced.wait()
        await self._set_health(serving=True)
        logger.info("ready: %d models serve", len(self.plane.index(ready_only=True)))

    async def _set_health(self, *, serving: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for service in ("", SERVICE):
            await self._health.set(service, states.SERVING if serving else states.NOT_SERVING)

    def _bind_grpc(self) -> int:
        address = f"{self._settings.host}:{self._settings.port}"
        try:
            return self._grpc.add_insecure_port(address)
        except RuntimeError as error:
            raise PortTakenError("gRPC", address) from error

    def _start_metrics(self) -> int:
        host, port = self._settings.host, self._settings.metrics_port
        try:
            self._metrics_http, _ = start_http_server(port, host, self._metrics.registry)
        except OSError as error:
            raise PortTakenError("metrics", f"{host}:{port}") from error
        return self._metrics_http.server_port


def build(settings: Settings, registry: VersionSource) -> PredictionServer:
    """A server over `registry`, not yet listening; call it inside a running event loop. Raises InvalidSettingsError."""
    tokens = {} if settings.tokens_file is None else read_tokens(settings.tokens_file)
    metrics, repository = Metrics(), Repository()
    executor = ThreadPoolExecutor(thread_name_prefix="inference")

    def load_version(name: str, version: str, package: Package) -> ServedVersion:
        model = load(name, version, package, settings.threads, settings.max_batch_size)
        counts = metrics.of_version(name, version)
        batcher = Batcher(model, executor, counts, settings.max_batch_size, settings.max_queue_requests)
        return ServedVersion(name, version, package.manifest, batcher, counts)

    follower = Follower(registry, repository, load_version, metrics, settings.poll_interval_s)
    plane = DataPlane(repository, follower)
    grpc_server = grpc.aio.server(
        interceptors=[StatusInterceptor(), AuthorizationInterceptor(tokens)],
        options=[
            ("grpc.so_reuseport", 0),  # a taken port is an error, not a share of its traffic
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
        ],
    )
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(plane, settings.max_request_rows), grpc_server)
    if settings.reflection:
        reflection_servicer = ReflectionServicer(REFLECTED_SERVICES)
        add_ServerReflectionServicer_to_server(reflection_servicer, grpc_server)  # type: ignore[no-untyped-call]  # its stub lacks this one
    return PredictionServer(settings, grpc_server, plane, follower, metrics, executor)


async def serve(settings: Settings, registry: VersionSource) -> None:
    """Run a server until SIGTERM or SIGINT, then let requests finish; a second signal ends them at once."""
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, signals.put_nowait, each)
    server = build(settings, registry)
    try:
        await server.start()
        logger.info("%s: stopping, requests get %g s to finish", (await signals.get()).name, settings.drain_grace_s)
    finally:
        await _stop(server, settings.drain_grace_s, signals)
    logger.info("stopped")


async def _stop(server: PredictionServer, grace_s: float, signals: "asyncio.Queue[signal.Signals]") -> None:
    stopping = asyncio.create_task(server.stop(grace_s))
    again = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
    if not again.cancel():
        logger.warning("%s again: stopping now", again.result().name)
        await server.stop(0)
    await stopping
