"""The composition root: `build` puts one prediction server together, `serve` runs it until a signal comes."""

import asyncio
import logging
import os
import time
from contextlib import suppress

from pipelines.registry.package import Package
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.cache import CachedSource
from services.prediction.calls import DEFAULT_PRIORITY, LOWEST_PRIORITY
from services.prediction.configuration import Scheduling
from services.prediction.cores import available_cores, intra_op_threads
from services.prediction.data_plane import DataPlane
from services.prediction.entry import ServedVersion
from services.prediction.eviction import estimated_bytes
from services.prediction.follower import Follower
from services.prediction.loading import Loading
from services.prediction.metrics import Metrics, VersionMetrics
from services.prediction.model import LoadedModel, load
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc
from services.prediction.processes.company import Alone, Company
from services.prediction.processes.place import Place
from services.prediction.repository import Repository
from services.prediction.rest.app import Api
from services.prediction.rest.body import Bodies
from services.prediction.rest.server import NullRest, RestServer
from services.prediction.servicer import POLICY
from services.prediction.settings import Settings
from services.prediction.shadow_reports import ShadowReports
from services.prediction.shadowing import Shadowing
from services.prediction.sources import Registry, Source, UncachedSource
from services.prediction.streaming import Streams
from services.prediction.tracing import Tracing, make_tracing
from services.prediction.transport import make_front
from services.rpc.access import AuthorizationInterceptor
from services.rpc.authorization import Authorizer
from services.rpc.background import in_daemon_thread
from services.rpc.hosting import Host, run_until_signal
from services.rpc.status import StatusInterceptor

logger = logging.getLogger(__name__)

FLUSH_S = 0.5
"""Seconds for the last answers to leave; health watchers, who never leave by themselves, are cut off after it."""


POLL_S = 0.005
EXPORT_S = 2.0
"""Seconds for the last spans to leave; a collector that is away holds up no stop for longer."""
SHADOW_PART = 4
"""The part of a queue, one in so many, that requests may take which nobody waits for."""


class PredictionServer:
    """One server, ready to start; `build` makes it."""

    def __init__(
        self,
        host: Host,
        plane: DataPlane,
        follower: Follower,
        reports: ShadowReports,
        rest: RestServer | NullRest,
        tracing: Tracing,
        company: Company | Alone,
    ) -> None:
        self._host, self._follower, self._reports, self._rest = host, follower, reports, rest
        self._tracing, self._company = tracing, company
        self.plane = plane
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Of gRPC, once started."""
        return self._host.port

    @property
    def metrics_port(self) -> int:
        """Of the metrics page, once started."""
        return self._host.metrics_port

    @property
    def rest_port(self) -> int:
        """Of REST, once started; 0 without it."""
        return self._rest.port

    async def start(self) -> None:
        """Listen, and begin to follow the registry. Raises PortTakenError.

        Health says SERVING once the registry was read, or the cache in its place.
        """
        await self._company.start()
        follow = self._follower.run(), self._report_ready(), self._reports.run()
        self._tasks = [asyncio.create_task(each) for each in follow]
        await self._company.wait(self._follower.synced)
        await self._host.start()
        await self._rest.start()

    async def stop(self, grace_s: float) -> None:
        """NOT_SERVING, nothing new, up to `grace_s` seconds for the requests under way; then close everything.

        Until they are done the port stays open, so that health checks are answered and new requests hear why not.
        """
        await self._host.leave()
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self.plane.drain()
                await self._host.drained()
        flush_s = min(grace_s, FLUSH_S)
        await asyncio.gather(self._rest.close(flush_s), self._host.close(flush_s), self._company.close())
        with suppress(TimeoutError):
            async with asyncio.timeout(min(grace_s, EXPORT_S)):
                await in_daemon_thread(self._send_spans)

    def _send_spans(self) -> None:
        """Those of the last batch are made after its answers."""
        until_s = time.monotonic() + FLUSH_S
        while self.plane.busy and time.monotonic() < until_s:
            time.sleep(POLL_S)
        self._tracing.close()

    async def _report_ready(self) -> None:
        await self._follower.synced.wait()
        await self._host.set_serving(serving=True)
        logger.info("ready: %d models serve", len(self.plane.index(ready_only=True)))


def build(settings: Settings, registry: Registry, place: Place | None = None) -> PredictionServer:
    """A server over `registry`, not yet listening; call it inside a running event loop. Raises InvalidSettingsError.

    With a place it is one of several processes that share the ports.
    """
    authorizer = Authorizer(POLICY, settings.tokens_file, settings.tls_client_ca)
    tracing = make_tracing(os.environ)
    metrics, repository, budget = Metrics(), Repository(), Budget(settings.max_pending_bytes)

    cores = available_cores()
    threads = settings.threads or intra_op_threads(cores)
    logger.info("%d cores, %d threads inside an operator", cores, threads)

    def load_version(name: str, version: str, package: Package) -> ServedVersion:
        model = load(name, version, package, threads, settings.max_batch_size)
        counts = metrics.of_version(name, version)
        batcher, memory_bytes = _batcher(settings, model, counts, budget), estimated_bytes(len(package.model))
        batcher.traced = tracing.of_version(name, version)
        return ServedVersion(name, version, package.manifest, batcher, counts, memory_bytes)

    source, poll_interval_s = _source(settings, registry, metrics), settings.poll_interval_s
    loading = Loading(repository, load_version, metrics, poll_interval_s, settings.memory_max_bytes)
    follower = Follower(source, repository, loading, metrics, poll_interval_s, settings.models)
    plane = DataPlane(repository, follower)
    shadowing = Shadowing(metrics.shadow, max_pending=max(settings.max_queue_requests // SHADOW_PART, 1))
    repository.changed = shadowing.direct
    interceptors = [StatusInterceptor(), *tracing.interceptors, AuthorizationInterceptor(authorizer)]
    front = make_front(settings, plane, authorizer, tracing)
    page = None if place is None else place.page
    host = Host(settings, POLICY.service, interceptors, metrics.registry, front, page)
    streams = Streams(settings.max_streams, settings.max_stream_requests)
    parts = plane, _scheduling(settings), streams, settings.max_request_rows
    company = Alone(*parts) if place is None else Company(place, *parts)
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(company.servicer, host.grpc)
    api = Api(company.servicer, authorizer, _bodies(settings), tracing)
    rest = RestServer(api.app(), settings, reuse_port=place is not None) if settings.rest else NullRest()
    return PredictionServer(host, plane, follower, ShadowReports(shadowing, registry), rest, tracing, company)


async def serve(settings: Settings, registry: Registry, place: Place | None = None) -> bool:
    """Run a server until SIGTERM or SIGINT, then let requests finish; a second signal ends them at once.

    False if a model still runs in the end: there is no way to stop it but to leave the process at once.
    """
    server = build(settings, registry, place)
    await run_until_signal(server, settings.drain_grace_s)
    return not server.plane.busy


def _bodies(settings: Settings) -> Bodies:
    budget = Budget(settings.max_pending_bytes)  # bodies that arrive, beside the requests that wait
    return Bodies(settings.max_message_bytes, settings.rest_read_timeout_s, budget)


def _batcher(settings: Settings, model: LoadedModel, counts: VersionMetrics, budget: Budget) -> Batcher:
    return Batcher(
        model,
        counts,
        budget,
        settings.max_batch_size,
        settings.max_queue_requests,
        settings.max_queue_delay_us / 1e6,
        settings.max_queue_wait_ms / 1e3,
    )


def _scheduling(settings: Settings) -> Scheduling:
    return Scheduling(
        settings.max_batch_size,
        settings.max_queue_requests,
        settings.max_queue_delay_us,
        priority_levels=LOWEST_PRIORITY,
        default_priority_level=DEFAULT_PRIORITY,
    )


def _source(settings: Settings, registry: Registry, metrics: Metrics) -> Source:
    if settings.cache_dir is None:
        return UncachedSource(registry, settings.model_max_bytes)
    return CachedSource(registry, settings.model_max_bytes, settings.cache_dir, settings.cache_max_bytes, metrics)
