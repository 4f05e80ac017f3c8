"""What a job comes to in this process, in one go and without Ray: the measure of jobs that were cut off."""

from dataclasses import dataclass

import torch

from pipelines.data.loading import load_dataset
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.loop import EpochReport
from pipelines.training.team import Solo
from pipelines.training.worker import Trained, make_job, train


@dataclass(frozen=True)
class Undisturbed:
    """To be met to the bit."""

    losses: dict[int, float]
    """Of training, by epoch."""
    weights: dict[str, bytes]


def undisturbed(spec: TrainingSpec) -> Undisturbed:
    """Train a spec of one worker whose rows stay in memory."""
    *events, trained = train(make_job(spec, load_dataset(spec)), Solo(), torch.device("cpu"))
    assert isinstance(trained, Trained)
    losses = {event.epoch: event.train.loss for event in events if isinstance(event, EpochReport)}
    return Undisturbed(losses, {name: weight.tobytes() for name, weight in trained.weights.items()})
