"""Drivetrain's own worker, without Ray around it."""

import pickle
import sys
from pathlib import Path

import torch

from pipelines.training.loop import EpochReport
from pipelines.training.team import Solo
from pipelines.training.worker import Job, train
from tests.benchmarks.training.peers.task import tell


def main() -> None:
    """`python -m MODULE FOLDER RESULT`, as for all contestants."""
    folder, result = map(Path, sys.argv[1:])
    with (folder / "job.pickle").open("rb") as file:
        job: Job = pickle.load(file)
    reports = [event for event in train(job, Solo(), torch.device("cpu")) if isinstance(event, EpochReport)]
    last = reports[-1].validation
    seconds = [report.seconds for report in reports]
    tell(result, job.train.features, job.spec.training.batch_size, seconds, last.loss, last.metrics["accuracy"])


if __name__ == "__main__":
    main()
