"""Training speed against the loop that most people would write: torch's DataLoader, one batch at a time.

    python -m tests.benchmarks.training

The same network, optimizer, rows and batch size; one thread each; interleaved, medians. Equal work shows in the losses.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pipelines.data.loading import load_dataset
from pipelines.models.network import build_network
from pipelines.spec_file import load_spec
from pipelines.training.loop import EpochReport
from pipelines.training.team import Solo
from pipelines.training.worker import Job, make_job, train

RECIPES = ("synthetic-mlp", "digits-cnn", "digits-rnn")
REPETITIONS = 3
EPOCHS = 5


@dataclass(frozen=True)
class Measurement:
    """Of one repetition: rows a second in the training passes, and the loss of the last."""

    rows_per_second: float
    loss: float


def drivetrain(job: Job) -> Measurement:
    """The worker's own loop."""
    reports = [event for event in train(job, Solo(), torch.device("cpu")) if isinstance(event, EpochReport)]
    seconds = sum(report.seconds for report in reports[1:])  # the first epoch warms up
    return Measurement((len(reports) - 1) * len(job.train) / seconds, reports[-1].train.loss)


def dataloader_loop(job: Job) -> Measurement:
    """The textbook's loop over a DataLoader."""
    torch.manual_seed(job.spec.seed)
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed)
    rows = TensorDataset(torch.from_numpy(job.train.features), torch.from_numpy(job.train.targets))
    loader = DataLoader(rows, batch_size=job.spec.training.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=job.spec.optimizer.learning_rate)
    criterion = nn.CrossEntropyLoss()
    seconds, mean_loss = 0.0, 0.0
    for epoch in range(job.spec.training.epochs):
        started, total = time.perf_counter(), 0.0
        for features, targets in loader:
            optimizer.zero_grad()
            loss = criterion(network(features), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        seconds += time.perf_counter() - started if epoch else 0.0
        mean_loss = total / len(job.train)
    return Measurement((job.spec.training.epochs - 1) * len(job.train) / seconds, mean_loss)


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    overrides = [f"training.epochs={EPOCHS}", "training.early_stopping=null", "regularization={}"]
    table = Table("recipe", "DataLoader, rows/s", "Drivetrain, rows/s", "ratio", "last losses", box=None)
    for recipe in RECIPES:
        spec = load_spec(recipe, overrides)
        job = make_job(spec, load_dataset(spec))
        contestants: list[Callable[[Job], Measurement]] = [dataloader_loop, drivetrain]
        results = [[contestant(job) for contestant in contestants] for _ in range(REPETITIONS)]
        peer, ours = (
            statistics.median(each.rows_per_second for each in column) for column in zip(*results, strict=True)
        )
        losses = " ".join(f"{each.loss:.3f}" for each in results[-1])
        table.add_row(recipe, f"{peer:,.0f}", f"{ours:,.0f}", f"{ours / peer:.2f}", losses)
    Console().print(table)


if __name__ == "__main__":
    main()
