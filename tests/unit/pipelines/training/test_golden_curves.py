"""The losses of each family, epoch by epoch, as they were when they were recorded: a refactoring must give the same.

`python -m tests.unit.pipelines.training.test_golden_curves` records them anew, for changes that are meant.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipelines.models.network import build_network
from pipelines.spec_file import build_spec
from pipelines.training.loop import Fitting, fit
from pipelines.training.slabs import Part
from pipelines.training.team import Solo

RECORD = Path(__file__).with_name("golden_curves.json")

TOLERANCE = 2e-3
"""Relative, of a loss: five epochs let the last bit of another CPU's sums grow, and no more than this."""

CASES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "mlp": ((6,), {"model": {"hidden": [16, 8]}, "optimizer": {"learning_rate": 0.02}}),
    "mlp, norm": (
        (6,),
        {
            "model": {"hidden": [16], "norm": "batch", "activation": "gelu"},
            "optimizer": {"name": "adamw", "learning_rate": 0.02},
            "schedule": {"name": "cosine", "warmup_epochs": 1},
        },
    ),
    "cnn, images": ((1, 8, 8), {"model": {"family": "cnn", "channels": [8, 8]}, "regularization": {"l2": 0.01}}),
    "cnn, series": (
        (10, 3),
        {
            "model": {
                "family": "cnn",
                "blocks": [{"channels": 8, "residual": True}],
                "norm": "layer",
                "global_pooling": "max",
            },
            "optimizer": {"name": "rmsprop", "learning_rate": 0.005},
        },
    ),
    "rnn, vanilla": ((10, 3), {"model": {"family": "rnn", "cell": "vanilla", "hidden_size": 12}}),
    "rnn, lstm": (
        (10, 3),
        {
            "model": {"family": "rnn", "cell": "lstm", "hidden_size": 12, "bidirectional": True},
            "optimizer": {"learning_rate": 0.01, "clip_norm": 1.0},
        },
    ),
    "rnn, gru": (
        (10, 3),
        {
            "model": {"family": "rnn", "cell": "gru", "hidden_size": 12, "layers": 2},
            "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
            "loss": {"name": "cross_entropy", "label_smoothing": 0.1},
        },
    ),
}


def curve(name: str) -> list[list[float]]:
    """Training and validation loss of each epoch."""
    row_shape, sections = CASES[name]
    spec = build_spec({"data": {"source": "synthetic"}, "training": {"epochs": 5, "batch_size": 16}} | sections)
    random = np.random.default_rng(8)
    features = random.standard_normal((160, *row_shape)).astype(np.float32)
    targets = features.reshape(160, -1)[:, :3].argmax(axis=1)
    halves = slice(96), slice(96, 160)
    train, validation = (Part(torch.from_numpy(features[half]), torch.from_numpy(targets[half])) for half in halves)
    network = build_network(spec.model, row_shape, 3, spec.seed)
    reports = fit(Fitting(network, spec), spec, train, validation, 1.0, Solo())
    return [[report.train.loss, report.validation.loss] for report in reports]


@pytest.mark.parametrize("name", CASES)
def test_the_losses_are_those_of_the_record(name: str) -> None:
    recorded = np.array(json.loads(RECORD.read_text())[name])
    assert recorded[-1, 0] < recorded[0, 0]  # something was learned
    np.testing.assert_allclose(curve(name), recorded, rtol=TOLERANCE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    RECORD.write_text(json.dumps({name: curve(name) for name in CASES}, indent=1) + "\n")
