"""One process of a team: joins the others over gloo, trains, and leaves curve and weights in a file.

python -m tests.unit.pipelines.training.member PORT RANK SIZE FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import torch

from pipelines.models.network import build_network
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.loop import Fitting, fit
from pipelines.training.objective import class_weights
from pipelines.training.slabs import Part
from pipelines.training.team import Solo, Team
from tests.unit.pipelines.training.meeting import met

Result = dict[str, np.ndarray]


def trained(spec: TrainingSpec, rows: Result, team: Team) -> Result:
    """Curve and weights of the rows in `rows`, as this member of the team sees them."""
    train, validation = (
        Part(torch.from_numpy(rows[f"{part}_x"]), torch.from_numpy(rows[f"{part}_y"])) for part in ("train", "val")
    )
    network = build_network(spec.model, tuple(train.features.shape[1:]), 3, spec.seed)
    fitting = Fitting(network, spec)
    weights = class_weights(spec.loss, ("0", "1", "2"), np.bincount(rows["train_y"], minlength=3).tolist())
    curve = [
        (
            report.train.loss,
            report.validation.loss,
            report.penalty,
            report.train.metrics["accuracy"],
            report.validation.metrics["accuracy"],
        )
        for report in fit(fitting, spec, train, validation, 1.0, team, class_weights=weights)
    ]
    return {"curve": np.array(curve)} | {name: weight.numpy() for name, weight in fitting.best.weights.items()}


def main(port: str, rank: str, size: str, folder: str) -> None:
    with met(port, rank, size) as team:
        with np.load(Path(folder) / "rows.npz") as arrays:
            loaded = dict(arrays)
        for number, text in enumerate((Path(folder) / "specs").read_text().splitlines()):
            answer = trained(TrainingSpec.model_validate_json(text), loaded, team)
            np.savez(f"{folder}/{rank}-{number}.npz", allow_pickle=False, **answer)


def alone(spec: TrainingSpec, rows: Result) -> Result:
    """What a single worker gets."""
    return trained(spec, rows, Solo())


if __name__ == "__main__":
    main(*sys.argv[1:])
