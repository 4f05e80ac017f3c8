"""What one worker does, the same alone, in a Ray actor and under Ray Train."""

import math
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.row_names import BY_NUMBER, RowNames
from pipelines.data.scaling import Scaling
from pipelines.data.shards import ShardReader, Shards, find_shards
from pipelines.data.windows import levelled
from pipelines.errors import TrainingError
from pipelines.models.network import network_of
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.acceleration import keep_freed_memory, num_threads
from pipelines.training.checkpoints import Checkpoints, Moment
from pipelines.training.diagnosis import Suspect, explain, is_sound
from pipelines.training.health import Probe
from pipelines.training.loop import EpochReport, Fitting, fit
from pipelines.training.objective import Objective, build_objective, class_weights
from pipelines.training.randomness import seed_all
from pipelines.training.slabs import Part, RowSource
from pipelines.training.streamed import Streamed
from pipelines.training.team import DistributedTeam, Solo, Team
from pipelines.training.usage import Meter, Usage
from pipelines.training.worker_log import WorkerLog


@dataclass(frozen=True)
class Job:
    """What a worker needs to know: the spec and the scaled rows."""

    spec: TrainingSpec
    train: Rows
    """Of streamed data a sample."""
    validation: Rows
    num_outputs: int | tuple[int, ...]
    target_deviation: float
    """Of the target in its own units, the mean of several targets; 1 for classes."""
    class_weights: tuple[float, ...] | None
    """Of each class in the loss; None where all weigh the same."""
    checkpoints: Path | None
    """Folder that the workers, wherever they run, keep checkpoints in and go on from; None for neither."""
    vocabulary: int | None = None
    """Of texts: how many different token indices there are."""
    row_names: RowNames = BY_NUMBER
    """What messages call rows."""
    shards: Shards | None = None
    """All training rows, where they are on disk; every worker's node must see the folder."""
    pixels: Scaling | None = None
    """Of pictures: what scales them; shards have them as they are."""


@dataclass(frozen=True)
class Trained:
    """The weights to keep, and the epoch that gave them."""

    weights: dict[str, NDArray[np.generic]]
    best_epoch: int


@dataclass(frozen=True)
class Warned:
    """What a worker has logged as a warning or worse since its last event."""

    rank: int
    texts: tuple[str, ...]


Event = EpochReport | Usage | Warned | Trained


def make_job(
    spec: TrainingSpec, dataset: Dataset, checkpoints: Path | None = None, shards: Shards | None = None
) -> Job:
    """Scale the rows once, so that no step has to.

    Checkpoints have a folder by the data's digest, so that no job goes on with other data than it began with.
    """
    return Job(
        spec=spec,
        train=_scaled(dataset, dataset.train),
        validation=_scaled(dataset, dataset.validation),
        num_outputs=dataset.num_outputs,
        target_deviation=float(dataset.target.deviation.mean()),
        class_weights=class_weights(spec.loss, dataset.labels, list(dataset.class_counts.values())),
        checkpoints=checkpoints and checkpoints / dataset.digest,
        vocabulary=dataset.vocabulary,
        row_names=dataset.row_names,
        shards=shards,
        pixels=dataset.features if dataset.are_pictures else None,
    )


def train(job: Job, team: Team, device: torch.device) -> Iterator[EpochReport | Trained]:
    """Train to the end: a report an epoch, at last the best epoch's weights.

    Goes on after the last checkpoint; the reports of the epochs until then come first. NonFiniteError if the loss
    diverges, TrainingError if a worker does not see the shards.
    """
    keep_freed_memory()
    _check_shards(job, team)
    rows = _Rows(_source(job, device), resident(job.validation, device))
    checkpoints = Checkpoints(job.checkpoints, job.spec.training.checkpoints)
    fitting = _resumed(job, checkpoints, team, device)
    share = -(-min(job.spec.training.batch_size, len(rows.train)) // team.size)
    torch.set_num_threads(num_threads(job.spec.compute, fitting.network, rows.train.sample.features, share))
    probe = _probe(job, fitting, rows.train.sample)
    for report in fitting.reports.copy():  # no `yield from`: Ray sends values into the generators that it streams
        yield report

    def keep(*, now: bool = False) -> None:
        moment = Moment(len(fitting.reports), fitting.passed.updates)
        if now or team.follow(checkpoints.is_due(moment)):
            state = fitting.state_dict(team)
            if team.rank == 0:
                checkpoints.write(moment, state)

    for report in _epochs(job, fitting, rows, team, keep):
        if not math.isfinite(report.train.loss + report.validation.loss):
            again = _resumed(job, checkpoints, team, device)
            if not is_sound(again):
                again = _begun(job, device, team.rank)
            suspect = Suspect(job.spec, _objective(job, device), rows.train, rows.validation, job.row_names)
            raise explain(suspect, again, _epochs(job, again, rows, Solo()), report.epoch)
        if team.rank == 0:
            health = probe.look(report.train, report.validation, best=report.best)
            fitting.reports[-1] = replace(report, health=health)
        keep()
        yield fitting.reports[-1]
    keep(now=True)
    best_epoch = max(report.epoch for report in fitting.reports if report.best)
    weights = {name: weight.cpu().contiguous().numpy() for name, weight in fitting.best.weights.items()}
    yield Trained(weights, best_epoch)


@dataclass(frozen=True)
class _Rows:
    """On the device."""

    train: RowSource
    validation: Part


def _check_shards(job: Job, team: Team) -> None:
    """Raise TrainingError, on all workers together, if one of them does not see the training rows on its disk."""
    shards = job.shards
    sees_them = shards is None or find_shards(Path(shards.folder), shards.key) == shards
    blind = [host for host in team.gather(None if sees_them else platform.node()) if host]
    if shards and blind:
        raise TrainingError(
            f"data.memory: training rows stream from {shards.folder}, which the worker on {blind[0]} does not have; "
            "put DRIVETRAIN_HOME on a disk that all nodes share, or keep the rows in memory (data.memory: resident)"
        )


def _source(job: Job, device: torch.device) -> RowSource:
    sample = resident(job.train, device)
    return sample if job.shards is None else Streamed(ShardReader(job.shards), sample, job.shards.sizes, job.pixels)


def _epochs(
    job: Job, fitting: Fitting, rows: _Rows, team: Team, pause: Callable[[], None] = lambda: None
) -> Iterator[EpochReport]:
    parts = rows.train, rows.validation
    weights = job.class_weights
    return fit(fitting, job.spec, *parts, job.target_deviation, team, class_weights=weights, pause=pause)


def _objective(job: Job, device: torch.device) -> Objective:
    return build_objective(job.spec, job.class_weights, device)


def _probe(job: Job, fitting: Fitting, train: Part) -> Probe:
    return Probe(
        network=fitting.network,
        objective=_objective(job, train.targets.device),
        part=train,
        batch_size=job.spec.training.batch_size,
        validation_rows=len(job.validation),
        told={kind for report in fitting.reports for kind, _ in report.health.warnings},
    )


def _begun(job: Job, device: torch.device, rank: int) -> Fitting:
    """As training begins, random numbers included."""
    seed_all(job.spec.seed, rank)
    network = network_of(job.spec, job.train.features.shape[1:], job.num_outputs, job.vocabulary).to(device)
    return Fitting(network, job.spec)


def _resumed(job: Job, checkpoints: Checkpoints, team: Team, device: torch.device) -> Fitting:
    """As training begins, or at the newest checkpoint that rank 0 sees."""
    fitting = _begun(job, device, team.rank)
    moment, *_ = team.gather(checkpoints.newest() if team.rank == 0 else None)
    if moment is None:
        return fitting
    try:
        state = checkpoints.read(moment)
    except FileNotFoundError as error:
        raise TrainingError(f"worker {team.rank}: {error}; do all nodes share DRIVETRAIN_HOME?") from error
    fitting.load_state_dict(state, team.rank)
    return fitting


def observed(events: Iterator[EpochReport | Trained], rank: int) -> Iterator[Event]:
    """The events of a worker, before each what it has logged, and what its machine was busy with.

    The latter from the first epoch on, and once more at the end.
    """
    with Meter() as meter, WorkerLog() as log:
        now = True
        try:
            for event in events:
                if texts := log.take():
                    yield Warned(rank, texts)
                if samples := meter.take(now=now or isinstance(event, Trained)):
                    yield Usage(rank, samples)
                now = False
                yield event
        except Exception:
            if texts := log.take():  # they may say why
                yield Warned(rank, texts)
            raise


class Worker:
    """One worker, for a Ray actor."""

    def run(self, job: Job) -> Iterator[Event]:
        """Train alone; the actor streams the events to whoever called."""
        device = torch.device("cuda" if job.spec.compute.gpus_per_worker else "cpu")
        yield from observed(train(job, Solo(), device), rank=0)


def train_rank(config: dict[str, Any]) -> None:
    """One worker of several, as Ray Train calls it: `config` has the `job`'s reference and the queue of `events`."""
    # Ray's modules take seconds that a lone worker need not spend.
    from ray import get
    from ray.train.torch import get_device

    team = DistributedTeam()
    for event in observed(train(get(config["job"]), team, get_device()), team.rank):
        if team.rank == 0 or isinstance(event, Usage | Warned):
            config["events"].put(event)


def _scaled(dataset: Dataset, rows: Rows) -> Rows:
    rows = levelled(rows, dataset.num_relative)
    targets = rows.targets
    if dataset.task == "regression":
        targets = dataset.target.apply(targets.astype(np.float32)).astype(np.float32)
    return Rows(dataset.features.apply(rows.features), targets, lengths=rows.lengths, ids=rows.ids)


def resident(rows: Rows, device: torch.device) -> Part:
    """Rows that stay on the device while a job trains."""
    # Ray hands arrays out read-only from shared memory: the tensors need rows of their own.
    features, targets = torch.from_numpy(rows.features.copy()), torch.from_numpy(rows.targets.copy())
    lengths = None if rows.lengths is None else torch.from_numpy(rows.lengths.copy())
    return Part(features.to(device), targets.to(device), lengths, rows.ids)
