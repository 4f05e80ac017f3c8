"""A table on this machine, trained on the stack from outside of it, and predicted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.cli.training_client import TrainingClient
from tests.e2e.compose.stack import ROOT, address, eventually

pytestmark = pytest.mark.timeout(600)

SPEC = """
name: clouds
data: {source: csv, path: clouds.csv, target: kind}
optimizer: {name: adam, learning_rate: 0.05}
training: {epochs: 15}
"""


def drivetrain(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command outside of the stack, with the variables of its client.env."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        cwd=cwd,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "DRIVETRAIN_TRAINING_ADDRESS": address("training", 8003),
            "DRIVETRAIN_PREDICTION_ADDRESS": address("prediction", 8001),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows around (2, 2) are wet, those around (-2, -2) dry."""
    random = np.random.default_rng(0)
    lines = ["height,width,kind"]
    for kind, middle in (("wet", 2), ("dry", -2)):
        lines += [f"{x:.3f},{y:.3f},{kind}" for x, y in random.normal(middle, 0.3, (60, 2))]
    (tmp_path / "clouds.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "clouds.yaml").write_text(SPEC)
    return tmp_path


def test_a_local_table_is_trained_watched_and_predicted(table: Path, training: TrainingClient) -> None:
    key = f"clouds-{os.getpid()}"
    first = drivetrain("train", "clouds.yaml", "--key", key, cwd=table)
    assert first.returncode == 0, first.stdout + first.stderr
    again = drivetrain("train", "clouds.yaml", "--key", key, cwd=table)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "was submitted before under this key" in again.stdout
    [job] = [job for job in training.jobs() if job.idempotency_key == key]
    watched = drivetrain("watch", job.id[:8], cwd=table)
    assert watched.returncode == 0
    assert "clouds" in watched.stdout
    (table / "rows.json").write_text("[[2.1, 1.9], [-2.0, -2.2]]")

    def asked() -> list[str] | None:
        answer = drivetrain("predict", "clouds", "rows.json", "--output", "json", cwd=table)
        return (
            [row["prediction"] for row in json.loads(answer.stdout)["predictions"]] if not answer.returncode else None
        )

    assert eventually(asked, 60, "clouds is served") == ["wet", "dry"]


def test_doctor_finds_everything_well(tmp_path: Path) -> None:
    found = drivetrain("doctor", cwd=tmp_path)
    assert found.returncode == 0, found.stdout
