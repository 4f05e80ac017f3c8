"""From a spec to a suggested learning rate; nothing is trained to the end, tracked or registered.

Ray starts only for data that streams.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.memory import choose_memory
from pipelines.data.streams import load_streamed
from pipelines.errors import TrainingError
from pipelines.evaluation.rate_plot import draw_rate_curve
from pipelines.home import home
from pipelines.models.network import network_of
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.objective import build_objective
from pipelines.training.rate_finder import RateCurve, find_rate
from pipelines.training.worker import make_job, resident


@dataclass(frozen=True)
class RateSearch:
    """What a search came to, and where its picture is."""

    curve: RateCurve
    plot: Path


def search_learning_rate(spec: TrainingSpec) -> RateSearch:
    """Run a learning-rate range test in this process; its picture goes under DRIVETRAIN_HOME.

    Raises DataError, and TrainingError where even the lowest rate gives no finite loss.
    """
    torch.set_num_threads(spec.compute.cpus_per_worker)
    job = make_job(spec, _dataset(spec))
    device = torch.device("cuda" if spec.compute.gpus_per_worker and torch.cuda.is_available() else "cpu")
    network = network_of(spec, job.train.features.shape[1:], job.num_outputs, job.vocabulary).to(device)
    torch.manual_seed(spec.seed)
    curve = find_rate(network, spec, build_objective(spec, job.class_weights, device), resident(job.train, device))
    if not curve.rates:
        raise TrainingError("the loss is not finite at the lowest learning rate: look at the data")
    folder = home() / "learning-rates"
    folder.mkdir(parents=True, exist_ok=True)
    plot = draw_rate_curve(folder / f"{spec.name}.png", curve, spec.name, spec.optimizer.learning_rate)
    return RateSearch(curve, plot)


def _dataset(spec: TrainingSpec) -> Dataset:
    """Of streamed data, which Ray reads, the sample is what the test runs on."""
    plan = choose_memory(spec.data).plan
    if plan is None:
        return load_dataset(spec)
    from pipelines.training.launcher import ray_session  # seconds of import that resident data need not pay

    with ray_session():
        return load_streamed(spec, plan)
