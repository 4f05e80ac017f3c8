"""Starts workers on Ray: one as an actor, several under Ray Train. The only place that knows both."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.errors import (
    ClusterLostError,
    DrivetrainError,
    ResourceError,
    TrainingError,
    WorkerLostError,
    last_line,
)
from pipelines.home import home
from pipelines.spec.training import Compute
from pipelines.training.local_ray import LocalRay, wanted_address
from pipelines.training.loop import EpochReport
from pipelines.training.remote_ray import RemoteRay
from pipelines.training.team import lost_contact
from pipelines.training.worker import Event, Job, Trained, Worker, train_rank

_log = logging.getLogger(__name__)

_ray: Any = ray
"""What tells of a cluster has no annotations there."""

_LOST = (
    RayActorError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    WorkerCrashedError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)
"""What Ray and Ray Train raise when a process or node is gone."""

_FAILED = "a training worker failed: "

_COLLECTIVE_TIMEOUT_S = 600
"""How long workers wait for one that lives but does not come to the exchange of gradients."""

_LOOK_EVERY_S = 1.0
"""At Ray, while nothing comes from the workers."""

_JOB_OF_RAY = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray gives it to drivers that it runs itself."""

Watch = LocalRay | RemoteRay
"""Who tells whether there still is a Ray."""


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray at `RAY_ADDRESS`, else a local one that ends with the block; a session that is already open is left alone.

    Raises ResourceError if the address does not answer, or a machine is too busy to start a Ray.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = wanted_address()
    local_only: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local_only)
    except Exception as error:  # Ray raises that itself where a node of its own takes more than half a minute
        what = "no local Ray started" if address == "local" else f"no Ray cluster answers at RAY_ADDRESS={address}"
        raise ResourceError(f"{what}: {error}") from error
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # with Ray's own the process aborts and closes no run
    try:
        yield
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Replaced:
    """Lost workers are being replaced by others."""

    text: str
    left: int
    """How often that may happen again."""


def launch(job: Job, retries: int) -> Iterator[Event | Replaced]:
    """Train on Ray: each epoch's report once, as it comes, at last the weights; in between what else workers tell.

    Closing the iterator ends the workers.

    Up to `retries` times lost workers are replaced by others, which go on from the job's last checkpoint. Raises
    WorkerLostError when that is used up, ClusterLostError if Ray is gone as a whole, and what a worker raised,
    or TrainingError, if the fault lies with the job.
    """
    start = _one_worker if job.spec.compute.workers == 1 else _several_workers
    watch, epoch = _watch(), 0
    for left in range(retries, -1, -1):
        try:
            for event in start(job, watch):
                if isinstance(event, EpochReport):
                    if event.epoch <= epoch:
                        continue
                    epoch = event.epoch
                yield event
                if isinstance(event, Trained):
                    return
        except ClusterLostError:
            raise
        except WorkerLostError as error:
            watch.wait()
            if left == 0:
                raise
            text = f"{error}; starting others, which go on from the last checkpoint; retries left: {left - 1}"
            yield Replaced(text, left - 1)


def _watch() -> Watch:
    """Of a driver that Ray runs the service sees to the end, and begins it anew; Ray's client has no node here."""
    address = wanted_address()
    if address == "local" or address.startswith("ray://") or _JOB_OF_RAY in os.environ:
        return LocalRay()
    here = ray.get_runtime_context()
    (socket,) = (node["RayletSocketName"] for node in _ray.nodes() if node["NodeID"] == here.get_node_id())
    return RemoteRay(here.gcs_address, Path(socket))


def check_resources(compute: Compute) -> None:
    """Raise ResourceError if the cluster, even idle, has less than `compute` asks for."""
    have: dict[str, float] = _ray.cluster_resources()
    for resource, a_worker in compute.demand_per_worker.items():
        wanted = compute.workers * a_worker
        if wanted > have.get(resource, 0):
            unit, name = (2**30, "GiB of memory") if resource == "memory" else (1, f"{resource}s")
            raise ResourceError(
                f"compute: asks for {wanted / unit:g} {name} ({compute.workers} workers × {a_worker / unit:g}), "
                f"the Ray cluster has {have.get(resource, 0) / unit:.4g}"
            )


def _one_worker(job: Job, watch: Watch) -> Iterator[Event]:
    compute = job.spec.compute
    actor: Any = ray.remote(Worker)
    takes = compute.demand_per_worker
    worker = actor.options(num_cpus=takes["CPU"], num_gpus=takes.get("GPU", 0), memory=takes.get("memory", 0)).remote()
    try:
        events = worker.run.options(num_returns="streaming").remote(ray.put(job))
        while _has_come(events, watch) and (event := next(events, None)) is not None:
            yield ray.get(event)
    except RayError as error:
        raise _failure(error) from error
    finally:
        ray.kill(worker)


def _has_come(awaited: Any, watch: Watch) -> bool:  # noqa: ANN401 - a reference, or a generator of them
    """True as soon as there is something to get; ClusterLostError if nothing can come any more."""
    watch.check()
    while not ray.wait([awaited], timeout=_LOOK_EVERY_S)[0]:
        watch.check()
    return True


def _several_workers(job: Job, watch: Watch) -> Iterator[Event]:
    compute = job.spec.compute
    _log.info(
        "%d workers share each batch of %d rows; batch and learning rate %g are what one worker would have",
        compute.workers,
        job.spec.training.batch_size,
        job.spec.optimizer.learning_rate,
    )
    events = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": _this_node()})
    trainer = ray.train.torch.TorchTrainer(
        train_rank,
        train_loop_config={"job": ray.put(job), "events": events},
        scaling_config=ScalingConfig(
            num_workers=compute.workers,
            use_gpu=compute.gpus_per_worker > 0,
            resources_per_worker=compute.demand_per_worker,
        ),
        torch_config=TorchConfig(timeout_s=_COLLECTIVE_TIMEOUT_S),
        run_config=RunConfig(storage_path=str(home() / "ray")),
    )
    fitting = _in_background(trainer.fit)
    try:
        yield from _until_done(events, fitting, watch)
        fitting.result()
    except (RayError, ray.train.TrainingFailedError) as error:
        raise _failure(error) from error
    finally:
        events.shutdown(force=True)  # whoever still trains ends at the next report


def _this_node() -> NodeAffinitySchedulingStrategy:
    """So that an actor is lost only together with this process."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _in_background(call: Callable[[], Any]) -> Future[Any]:
    """Call in a thread that nobody waits for: who is interrupted must not wait until the workers see it."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _until_done(events: Queue, fitting: Future[Any], watch: Watch) -> Iterator[Event]:
    actor: Any = events.actor
    while True:
        coming = actor.get.remote(timeout=0.5)  # as `events.get` does, which would wait in vain without Ray
        _has_come(coming, watch)
        try:
            event = ray.get(coming)
        except Empty:
            if fitting.done():
                return
            continue
        yield event
        if isinstance(event, Trained):
            return


def _failure(error: BaseException) -> DrivetrainError:
    """What a worker of ours raised on purpose; else WorkerLostError if one is gone; else TrainingError."""
    causes = [_raised(cause) for cause in _causes(error)]
    for cause in causes:
        if isinstance(cause, DrivetrainError):
            return cause
    lost = [cause for cause in causes if isinstance(cause, _LOST) or lost_contact(cause)]
    text = last_line((lost or causes)[0])
    return WorkerLostError(f"a training worker was lost: {text}") if lost else TrainingError(_FAILED + text)


def _causes(error: BaseException) -> list[BaseException]:
    match error:
        case WorkerGroupError():
            return list(error.worker_failures.values())
        case ControllerError():
            return [error.controller_failure]
        case _:
            return [error]


def _raised(error: BaseException) -> BaseException:
    return error.cause if isinstance(error, RayTaskError) else error
