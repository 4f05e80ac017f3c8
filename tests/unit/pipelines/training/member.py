"""One process of a team: joins the others over gloo, trains, and leaves curve and weights in a file.

    python -m tests.unit.pipelines.training.member PORT RANK SIZE SPECS ROWS RESULT

The processes meet at a store that the test keeps open on PORT, so that none of them can leave before the others.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed

from pipelines.models.network import build_network
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.loop import Fitting, fit
from pipelines.training.objective import class_weights
from pipelines.training.slabs import Part
from pipelines.training.team import DistributedTeam, Solo, Team

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


def main(port: str, rank: str, size: str, specs: str, rows: str, result: str) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.TCPStore("127.0.0.1", int(port), is_master=False)  # type: ignore[attr-defined] # torch hides the re-export
    torch.distributed.init_process_group("gloo", store=store, rank=int(rank), world_size=int(size))
    try:
        with np.load(rows) as arrays:
            loaded = dict(arrays)
        for number, text in enumerate(Path(specs).read_text().splitlines()):
            answer = trained(TrainingSpec.model_validate_json(text), loaded, DistributedTeam())
            np.savez(f"{result}-{number}.npz", allow_pickle=False, **answer)
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def alone(spec: TrainingSpec, rows: Result) -> Result:
    """What a single worker gets."""
    return trained(spec, rows, Solo())


if __name__ == "__main__":
    main(*sys.argv[1:])
