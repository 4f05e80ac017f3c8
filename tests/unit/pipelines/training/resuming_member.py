"""One process of a team that is lost within an epoch, or after one, and goes on from the checkpoint.

    python -m tests.unit.pipelines.training.resuming_member PORT RANK SIZE FOLDER

Leaves in FOLDER what each attempt came to: "undisturbed", and the moments at which the others were lost.
"""

import json
import sys
from pathlib import Path

import torch

from pipelines.data.loading import load_dataset
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training import slabs
from pipelines.training.checkpoints import Checkpoints, Moment
from pipelines.training.loop import EpochReport, fit
from pipelines.training.team import Team
from pipelines.training.worker import Job, Trained, _begun, make_job, resident, train
from tests.unit.pipelines.training.meeting import met

CPU = torch.device("cpu")
LOST_AT = (Moment(0, 1), Moment(0, 14), Moment(1), Moment(3, 7))

SPEC: TrainingSpec = build_spec(
    {
        "data": {"source": "sklearn", "dataset": "iris"},
        "model": {"family": "mlp", "hidden": [8], "norm": "batch", "dropout": 0.3},
        "optimizer": {"name": "adam", "learning_rate": 0.02},
        "training": {"epochs": 5, "batch_size": 7},
        "compute": {"workers": 2},
    }
)
"""Shares of 4 and 3 rows: the workers' dropout draws different numbers, and their batch norm sees different ones."""


def leave_checkpoint(job: Job, team: Team, at: Moment) -> None:
    """What a team that is lost at a moment leaves behind."""
    fitting, checkpoints = _begun(job, CPU, team.rank), Checkpoints(job.checkpoints, job.spec.training.checkpoints)
    parts = resident(job.train, CPU), resident(job.validation, CPU)

    class LostError(Exception):
        pass

    def keep() -> None:
        moment = Moment(len(fitting.reports), fitting.passed.updates)
        if moment == at:
            state = fitting.state_dict(team)
            if team.rank == 0:
                checkpoints.write(moment, state)
            raise LostError

    try:
        for _ in fit(fitting, job.spec, *parts, job.target_deviation, team, pause=keep):
            keep()
    except LostError:
        team.gather(None)  # the others read only what is written
        return
    raise AssertionError(f"the team never came to {at}")


def carried_out(job: Job, team: Team) -> dict[str, object]:
    """All that an attempt comes to and that no clock has a part in."""
    *reports, trained = train(job, team, CPU)
    assert isinstance(trained, Trained)
    of_epochs = [report for report in reports if isinstance(report, EpochReport)]
    return {
        "reports": [str((r.epoch, r.train, r.validation, r.penalty, r.best)) for r in of_epochs],
        "weights": {name: weight.tobytes().hex() for name, weight in trained.weights.items()},
    }


def main(port: str, rank: str, size: str, folder: str) -> None:
    slabs._SLAB_BYTES = 1  # a slab a batch
    dataset = load_dataset(SPEC)
    with met(port, rank, size) as team:
        came = {"undisturbed": carried_out(make_job(SPEC, dataset), team)}
        for moment in LOST_AT:
            job = make_job(SPEC, dataset, Path(folder) / str(moment))
            leave_checkpoint(job, team, moment)
            came[str(moment)] = carried_out(job, team)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(came))


if __name__ == "__main__":
    main(*sys.argv[1:])
