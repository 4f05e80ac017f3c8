"""To the first step of a one-worker job on a running local Ray: Drivetrain's launcher beside a bare TorchTrainer.

    python -m tests.benchmarks.training.starting WORKPLACE RESULT REPETITIONS

Both train the same network on the same rows, all of them in one step, and take turns.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.train import RunConfig, ScalingConfig

from pipelines.models.network import build_network
from pipelines.training.launcher import launch, ray_session
from pipelines.training.worker import Job
from tests.benchmarks.training.work import job_of

ONE_STEP = ("training.epochs=1", "training.batch_size=1000000")


def drivetrain_s(job: Job) -> float:
    """Seconds until the report of the first epoch, which is one step, has come."""
    started = time.time()
    events = launch(job, retries=0)
    next(events)
    seconds = time.time() - started
    for _ in events:  # to the end, so that the next one does not wait for its CPU
        pass
    return seconds


def torch_trainer_s(job: Job, workplace: Path) -> float:
    """Seconds until the step of a worker under TorchTrainer is done: the worker leaves the time in a file."""
    mark = workplace / "first-step"
    mark.unlink(missing_ok=True)
    trainer = ray.train.torch.TorchTrainer(
        one_step,
        train_loop_config={"job": job, "mark": str(mark)},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(storage_path=str(workplace / "ray")),
    )
    started = time.time()
    trainer.fit()
    return float(mark.read_text()) - started


def one_step(config: dict[str, Any]) -> None:
    """What a user of TorchTrainer would write."""
    job: Job = config["job"]
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed)
    model = ray.train.torch.prepare_model(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.spec.optimizer.learning_rate)
    features, targets = torch.tensor(job.train.features), torch.tensor(job.train.targets)
    torch.autograd.backward(torch.nn.functional.cross_entropy(model(features), targets))
    optimizer.step()
    Path(config["mark"]).write_text(repr(time.time()))


def main(workplace: str, result: str, repetitions: str) -> None:
    """Take turns, and write the seconds."""
    folder = Path(workplace)
    job = job_of("mlp", folder, ONE_STEP)
    seconds: dict[str, list[float]] = {"drivetrain": [], "torch-trainer": []}
    with ray_session():
        for _ in range(int(repetitions)):
            seconds["drivetrain"].append(drivetrain_s(job))
            seconds["torch-trainer"].append(torch_trainer_s(job, folder))
    Path(result).write_text(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
