"""One and two workers on the CNN, on a local Ray: rows a second, and the curve, which must be the same.

    python -m tests.benchmarks.training.scaling WORKPLACE RESULT REPETITIONS

In fp32, as bf16 rounds a batch and its halves differently. The batch has 128 rows, over all workers together.
"""

import json
import statistics
import sys
from pathlib import Path

from pipelines.training.launcher import launch, ray_session
from pipelines.training.loop import EpochReport
from tests.benchmarks.training.work import job_of

WORKERS = (1, 2)
SETTINGS = ("training.epochs=4", "training.batch_size=128", "compute.precision=fp32")


def curve(workplace: Path, workers: int) -> list[EpochReport]:
    """The epochs of a job."""
    job = job_of("cnn", workplace, (*SETTINGS, f"compute.workers={workers}"))
    return [event for event in launch(job, retries=0) if isinstance(event, EpochReport)]


def main(workplace: str, result: str, repetitions: str) -> None:
    """Take turns, and write rows a second (a list of repetitions) and the last curve's losses, by number of workers."""
    told: dict[str, dict[int, list[float]]] = {"rows_per_second": {count: [] for count in WORKERS}, "losses": {}}
    with ray_session():
        for _ in range(int(repetitions)):
            for workers in WORKERS:
                reports = curve(Path(workplace), workers)
                rate = statistics.median(report.rows_per_second for report in reports[1:])
                told["rows_per_second"][workers].append(rate)
                told["losses"][workers] = [loss for each in reports for loss in (each.train.loss, each.validation.loss)]
    Path(result).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
