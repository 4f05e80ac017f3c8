"""What GetStatus tells: the service, what it depends on, and what the caller may do."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from importlib.metadata import version
from typing import Any, TypeVar

import mlflow.version

from services.rpc.authorization import Authorizer
from services.rpc.background import in_daemon_thread
from services.rpc.errors import CallError, NotReadyError
from services.training.cluster import Node, RayCluster
from services.training.controller import Controller
from services.training.jobs import JobStore
from services.training.pb import training_pb2 as pb

PATIENCE_S = 3.0

T = TypeVar("T")


class Overview:
    """Looks at everything at once."""

    def __init__(
        self,
        store: JobStore,
        cluster: RayCluster,
        controller: Controller,
        authorizer: Authorizer,
        max_running_jobs: int,
    ) -> None:
        self._store, self._cluster, self._controller = store, cluster, controller
        self._authorizer, self._max_running_jobs = authorizer, max_running_jobs

    async def status(self, authorization: str, identities: Collection[str]) -> pb.ServiceStatus:
        """The state of the service, for the caller with this header and certificate."""
        rights = self._authorizer.rights(authorization, identities)
        tracking, ray, nodes = await asyncio.gather(
            _asked(self._tracking), _asked(self._cluster.version), _asked(self._cluster.nodes)
        )
        answer = pb.ServiceStatus(
            version=version("drivetrain"),
            mlflow=_dependency(tracking),
            ray=_dependency(ray),
            nodes=map(_node, nodes) if isinstance(nodes, tuple) else (),
            queued_jobs=self._controller.num_queued,
            running_jobs=self._controller.num_running,
            max_running_jobs=self._max_running_jobs,
            rights=rights,
        )
        answer.time.GetCurrentTime()
        return answer

    async def _tracking(self) -> str:
        await in_daemon_thread(self._store.check)
        return f"client {mlflow.version.VERSION}"


async def _asked(question: Callable[[], Coroutine[Any, Any, T]]) -> T | CallError:
    """The answer, or what came instead."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await question()
    except CallError as error:  # away, or there and refusing
        return error
    except TimeoutError:
        return NotReadyError(f"no answer within {PATIENCE_S:g} s")


def _dependency(answer: str | CallError) -> pb.Dependency:
    return pb.Dependency(ok=isinstance(answer, str), detail=str(answer))


def _node(node: Node) -> pb.Node:
    have = node.resources
    return pb.Node(cpus=have.get("CPU", 0), gpus=have.get("GPU", 0), memory_bytes=int(have.get("memory", 0)))
