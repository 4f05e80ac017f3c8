"""Starts workers on Ray: one as an actor, several under Ray Train. The only place that knows both."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.exceptions import RayError, RayTaskError
from ray.train import RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import WorkerGroupError
from ray.util.queue import Empty, Queue

from pipelines.errors import DrivetrainError, ResourceError, TrainingError
from pipelines.home import home
from pipelines.spec import Compute
from pipelines.training.worker import Event, Job, Trained, Worker, train_rank


@contextmanager
def ray_session() -> Iterator[None]:
    """Ray at `RAY_ADDRESS`, else a local one that ends with the block; a session that is already open is left alone.

    Raises ResourceError if the address does not answer.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS") or "local"
    local_only: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local_only)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ResourceError(f"no Ray cluster answers at RAY_ADDRESS={address}: {error}") from error
    if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # with Ray's own the process aborts and closes no run
    try:
        yield
    finally:
        ray.shutdown()


def launch(job: Job) -> Iterator[Event]:
    """Train on Ray: a report an epoch as it comes, at last the weights. Closing the iterator ends the workers.

    Raises TrainingError if a worker fails.
    """
    return _one_worker(job) if job.spec.compute.workers == 1 else _several_workers(job)


def check_resources(compute: Compute) -> None:
    """Raise ResourceError if the cluster, even idle, has less than `compute` asks for."""
    have: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call] # Ray leaves it unannotated
    for resource, a_worker in (("CPU", compute.cpus_per_worker), ("GPU", compute.gpus_per_worker)):
        wanted = compute.workers * a_worker
        if wanted > have.get(resource, 0):
            raise ResourceError(
                f"compute: asks for {wanted:g} {resource}s ({compute.workers} workers × {a_worker:g}), "
                f"the Ray cluster has {have.get(resource, 0):g}"
            )


def _one_worker(job: Job) -> Iterator[Event]:
    compute = job.spec.compute
    actor: Any = ray.remote(Worker)
    worker = actor.options(num_cpus=compute.cpus_per_worker, num_gpus=compute.gpus_per_worker).remote()
    try:
        for event in worker.run.options(num_returns="streaming").remote(ray.put(job)):
            yield ray.get(event)
    except RayError as error:
        raise _failure(error) from error
    finally:
        ray.kill(worker)


def _several_workers(job: Job) -> Iterator[Event]:
    compute = job.spec.compute
    events = Queue(actor_options={"num_cpus": 0})
    resources = {"CPU": compute.cpus_per_worker, "GPU": compute.gpus_per_worker}
    trainer = ray.train.torch.TorchTrainer(
        train_rank,
        train_loop_config={"job": ray.put(job), "events": events},
        scaling_config=ScalingConfig(
            num_workers=compute.workers, use_gpu=compute.gpus_per_worker > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(storage_path=str(home() / "ray")),
    )
    with ThreadPoolExecutor(max_workers=1) as driver:
        fitting = driver.submit(trainer.fit)
        try:
            yield from _until_done(events, fitting)
            fitting.result()
        except (RayError, ray.train.TrainingFailedError) as error:
            raise _failure(error) from error
        finally:
            events.shutdown(force=True)


def _until_done(events: Queue, fitting: Future[Any]) -> Iterator[Event]:
    while True:
        try:
            event = events.get(timeout=0.5)
        except Empty:
            if fitting.done():
                return
            continue
        yield event
        if isinstance(event, Trained):
            return


def _failure(error: BaseException) -> DrivetrainError:
    """Our own error that a worker raised, or a TrainingError with what Ray says."""
    causes = [error]
    if isinstance(error, WorkerGroupError):
        causes = list(error.worker_failures.values())
    for cause in causes:
        raised = cause.cause if isinstance(cause, RayTaskError) else cause
        if isinstance(raised, DrivetrainError):
            return raised
    return TrainingError(f"a training worker failed: {str(causes[0]).strip().splitlines()[-1]}")
