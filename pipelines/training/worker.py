"""What one worker does, the same alone, in a Ray actor and under Ray Train."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.errors import TrainingError
from pipelines.models.network import build_network
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.checkpoints import Checkpoints
from pipelines.training.loop import EpochReport, Fitting, Part, fit
from pipelines.training.team import DistributedTeam, Solo, Team


@dataclass(frozen=True)
class Job:
    """What a worker needs to know: the spec and the scaled rows."""

    spec: TrainingSpec
    train: Rows
    validation: Rows
    num_outputs: int | tuple[int, ...]
    target_deviation: float
    """Of the target in its own units, the mean of several targets; 1 for classes."""
    checkpoints: Path | None
    """Folder that the workers, wherever they run, keep checkpoints in and go on from; None for neither."""


@dataclass(frozen=True)
class Trained:
    """The weights to keep, and the epoch that gave them."""

    weights: dict[str, NDArray[np.generic]]
    best_epoch: int


Event = EpochReport | Trained


def make_job(spec: TrainingSpec, dataset: Dataset, checkpoints: Path | None = None) -> Job:
    """Scale the rows once, so that no step has to.

    Checkpoints have a folder by the data's digest, so that no job goes on with other data than it began with.
    """
    return Job(
        spec=spec,
        train=_scaled(dataset, dataset.train),
        validation=_scaled(dataset, dataset.validation),
        num_outputs=dataset.num_outputs,
        target_deviation=float(dataset.target.deviation.mean()),
        checkpoints=checkpoints and checkpoints / dataset.digest,
    )


def train(job: Job, team: Team, device: torch.device) -> Iterator[Event]:
    """Train to the end: a report an epoch, at last the best epoch's weights.

    Goes on after the last checkpoint; the reports of the epochs until then come first. TrainingError if the loss
    diverges.
    """
    torch.set_num_threads(job.spec.compute.cpus_per_worker)
    torch.manual_seed(job.spec.seed)
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed).to(device)
    train_part, validation_part = _resident(job.train, device), _resident(job.validation, device)
    fitting, checkpoints = Fitting(network, job.spec), Checkpoints(job.checkpoints)
    _resume(fitting, checkpoints, team, device)
    for report in fitting.reports.copy():  # no `yield from`: Ray sends values into the generators that it streams
        yield report
    for report in fit(fitting, job.spec, train_part, validation_part, job.target_deviation, team):
        if not math.isfinite(report.train.loss + report.validation.loss):
            raise TrainingError(
                f"the loss is no longer finite in epoch {report.epoch}: try a smaller optimizer.learning_rate "
                f"than {job.spec.optimizer.learning_rate:g}"
            )
        if team.rank == 0:
            checkpoints.offer(report.epoch, fitting.state_dict)
        yield report
    if team.rank == 0:
        checkpoints.write(len(fitting.reports), fitting.state_dict)
    best_epoch = max(report.epoch for report in fitting.reports if report.best)
    yield Trained({name: weight.cpu().numpy() for name, weight in fitting.best.weights.items()}, best_epoch)


def _resume(fitting: Fitting, checkpoints: Checkpoints, team: Team, device: torch.device) -> None:
    """Bring every worker to the newest checkpoint that rank 0 sees."""
    mine = checkpoints.newest() if team.rank == 0 else 0
    epoch = int(team.total(torch.tensor(mine, dtype=torch.float64, device=device)))
    if epoch == 0:
        return
    try:
        state = checkpoints.read(epoch)
    except FileNotFoundError as error:
        raise TrainingError(f"worker {team.rank}: {error}; do all nodes share DRIVETRAIN_HOME?") from error
    fitting.load_state_dict(state)


class Worker:
    """One worker, for a Ray actor."""

    def run(self, job: Job) -> Iterator[Event]:
        """Train alone; the actor streams the events to whoever called."""
        device = torch.device("cuda" if job.spec.compute.gpus_per_worker else "cpu")
        yield from train(job, Solo(), device)


def train_rank(config: dict[str, Any]) -> None:
    """One worker of several, as Ray Train calls it: `config` has the `job`'s reference and the queue of `events`."""
    # Ray's modules take seconds that a lone worker need not spend.
    from ray import get
    from ray.train.torch import get_device

    team = DistributedTeam()
    for event in train(get(config["job"]), team, get_device()):
        if team.rank == 0:
            config["events"].put(event)


def _scaled(dataset: Dataset, rows: Rows) -> Rows:
    targets = rows.targets
    if dataset.task == "regression":
        targets = dataset.target.apply(targets.astype(np.float32)).astype(np.float32)
    return Rows(dataset.features.apply(rows.features), targets)


def _resident(rows: Rows, device: torch.device) -> Part:
    # Ray hands arrays out read-only from shared memory: the tensors need rows of their own.
    return Part(torch.from_numpy(rows.features.copy()).to(device), torch.from_numpy(rows.targets.copy()).to(device))
