"""A team whose workers are on two nodes of a real Ray cluster, one of which is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.data.loading import load_dataset
from pipelines.training.loop import EpochReport
from pipelines.training.team import Solo
from pipelines.training.worker import make_job, train
from tests.integration.cli.commands import ROOT
from tests.integration.pipelines.jobs import small
from tests.integration.pipelines.two_nodes import DATA, EPOCHS

pytestmark = pytest.mark.slow


def one_worker() -> list[float]:
    """The losses of the same job by one worker."""
    spec = small(data=DATA, training={"epochs": EPOCHS})
    events = train(make_job(spec, load_dataset(spec)), Solo(), torch.device("cpu"))
    return [event.train.loss for event in events if isinstance(event, EpochReport)]


def test_two_nodes_train_as_one_worker_does_also_when_one_is_lost(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
    environment |= {
        "DRIVETRAIN_HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "disabled",
    }
    command = [sys.executable, "-m", "tests.integration.pipelines.two_nodes", str(tmp_path / "jobs"), str(result)]
    subprocess.run(command, env=environment, check=True, timeout=500)
    told = json.loads(result.read_text())
    assert told["nodes"] == 2
    # The last bits differ, as one worker's gradients come from formulas and a team's from autograd, and they grow.
    np.testing.assert_allclose(told["undisturbed"]["losses"], one_worker(), rtol=1e-3)
    assert 0 < told["lost_after"] < EPOCHS
    assert told["disturbed"] == told["undisturbed"]
