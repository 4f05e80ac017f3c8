"""What one worker does, the same alone, in a Ray actor and under Ray Train."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.errors import TrainingError
from pipelines.models.network import build_network
from pipelines.spec import TrainingSpec
from pipelines.training.loop import BestEpoch, EpochReport, Part, fit
from pipelines.training.team import DistributedTeam, Solo, Team


@dataclass(frozen=True)
class Job:
    """What a worker needs to know: the spec and the scaled rows."""

    spec: TrainingSpec
    train: Rows
    validation: Rows
    num_outputs: int
    target_deviation: float
    """Of the target in its own units; 1 for classes."""


@dataclass(frozen=True)
class Trained:
    """The weights to keep, and the epoch that gave them."""

    weights: dict[str, NDArray[np.generic]]
    best_epoch: int


Event = EpochReport | Trained


def make_job(spec: TrainingSpec, dataset: Dataset) -> Job:
    """Scale the rows once, so that no step has to."""
    return Job(
        spec=spec,
        train=_scaled(dataset, dataset.train),
        validation=_scaled(dataset, dataset.validation),
        num_outputs=dataset.num_outputs,
        target_deviation=float(dataset.target.deviation[0]),
    )


def train(job: Job, team: Team, device: torch.device) -> Iterator[Event]:
    """Train to the end: a report an epoch, at last the best epoch's weights. TrainingError if the loss diverges."""
    torch.set_num_threads(job.spec.compute.cpus_per_worker)
    torch.manual_seed(job.spec.seed)
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed).to(device)
    train_part, validation_part = _resident(job.train, device), _resident(job.validation, device)
    best = BestEpoch(job.spec.training.early_stopping)
    best_epoch = 0
    for report in fit(network, job.spec, train_part, validation_part, job.target_deviation, team, best):
        if not math.isfinite(report.train.loss + report.validation.loss):
            raise TrainingError(
                f"the loss is no longer finite in epoch {report.epoch}: try a smaller optimizer.learning_rate "
                f"than {job.spec.optimizer.learning_rate:g}"
            )
        best_epoch = report.epoch if report.best else best_epoch
        yield report
    yield Trained({name: weight.cpu().numpy() for name, weight in best.weights.items()}, best_epoch)


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
