"""The composition root: `build` puts one training server together, `serve` runs it until a signal comes."""

import asyncio
import logging

from mlflow import MlflowClient

from pipelines.home import home
from services.rpc.access import AuthorizationInterceptor
from services.rpc.authorization import Authorizer
from services.rpc.hosting import Host, run_until_signal
from services.rpc.status import StatusInterceptor
from services.training.cluster import RayCluster
from services.training.controller import Controller
from services.training.datasets import DatasetStore
from services.training.jobs import JobStore
from services.training.leadership import Leadership
from services.training.manager import JobManager
from services.training.metrics import Metrics
from services.training.overview import Overview
from services.training.pb import training_pb2_grpc as pb_grpc
from services.training.servicer import POLICY, Servicer
from services.training.settings import Settings
from services.training.watching import Watch

logger = logging.getLogger(__name__)


class TrainingServer:
    """One server, ready to start; `build` makes it."""

    def __init__(
        self, host: Host, cluster: RayCluster, controller: Controller, datasets: DatasetStore, watch: Watch
    ) -> None:
        self._host, self._cluster, self._controller = host, cluster, controller
        self._datasets, self._watch = datasets, watch
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Of gRPC, once started."""
        return self._host.port

    @property
    def metrics_port(self) -> int:
        """Of the metrics page, once started."""
        return self._host.metrics_port

    async def start(self) -> None:
        """Listen, and begin to look after the jobs; health says SERVING once MLflow and Ray have answered.

        Raises PortTakenError, InvalidSettingsError.
        """
        await asyncio.to_thread(self._datasets.prepare)
        await self._host.start()
        self._tasks = [asyncio.create_task(self._controller.run()), asyncio.create_task(self._report_ready())]

    async def stop(self, grace_s: float) -> None:
        """NOT_SERVING, nothing new; jobs go on without the service, and watchers come back to its successor."""
        await self._host.leave()
        self._watch.stop()
        for task in self._tasks:
            task.cancel()
        await self._host.close(grace_s)
        await self._cluster.close()

    async def _report_ready(self) -> None:
        await self._controller.synced.wait()
        await self._host.set_serving(serving=True)
        logger.info("ready: %d unfinished jobs", len(self._controller.board))


def build(settings: Settings, client: MlflowClient) -> TrainingServer:
    """A server, not yet listening; call it inside a running event loop. Raises InvalidSettingsError."""
    authorizer = Authorizer(POLICY, settings.tokens_file, settings.tls_client_ca)
    metrics = Metrics()
    store, cluster = JobStore(client), RayCluster(settings.ray_dashboard)
    datasets = DatasetStore(home() / "datasets", settings.max_upload_bytes)
    controller = Controller(store, cluster, Leadership(home() / "training-service.lock"), metrics, settings)
    manager = JobManager(store, cluster, controller, datasets, settings)
    watch = Watch(store, controller, settings.heartbeat_s)
    overview = Overview(store, cluster, controller, authorizer, settings.max_running_jobs)
    interceptors = [StatusInterceptor(), AuthorizationInterceptor(authorizer)]
    host = Host(settings, POLICY.service, interceptors, metrics.registry)
    servicer = Servicer(manager, watch, datasets, overview, metrics)
    pb_grpc.add_TrainingServiceServicer_to_server(servicer, host.grpc)
    return TrainingServer(host, cluster, controller, datasets, watch)


async def serve(settings: Settings, client: MlflowClient) -> None:
    """Run a server until SIGTERM or SIGINT."""
    await run_until_signal(build(settings, client), settings.drain_grace_s)
