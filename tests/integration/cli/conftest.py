"""A home with two trained versions, and a way to run commands on it in this process."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipelines.training.launcher import ray_session
from services.cli.main import app
from tests.integration.pipelines.jobs import Home

MODEL = "clouds"
SPEC = f"""
name: {MODEL}
data: {{source: csv, path: clouds.csv, target: kind}}
optimizer: {{name: adam, learning_rate: 0.05}}
training: {{epochs: 15}}
"""


def invoke(*arguments: str, input_text: str | None = None) -> Result:
    """Run a command in this process; an error of ours is the result's `exception`."""
    return CliRunner().invoke(app, arguments, input=input_text)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two versions of a classifier of points in two clouds; the second is champion. Not to be changed."""
    directory = tmp_path_factory.mktemp("trained")
    write_clouds(directory / "clouds.csv")
    (directory / "clouds.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        patch.setenv("DRIVETRAIN_HOME", str(directory))
        patch.chdir(directory)
        with ray_session():
            for learning_rate in ("0.05", "0.1"):
                result = invoke("train", "clouds.yaml", "--set", f"optimizer.learning_rate={learning_rate}")
                assert result.exit_code == 0, result.output
    return Home(directory)


@pytest.fixture
def store(trained: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of the trained home, in use."""
    trained.copy_to(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    return Home(tmp_path)


def write_clouds(path: Path) -> None:
    """Rows around (2, 2) are of the kind "[wet]", those around (-2, -2) "dry"."""
    random = np.random.default_rng(0)
    lines = ["height,width,kind"]
    for kind, middle in (("[wet]", 2), ("dry", -2)):
        lines += [f"{x:.3f},{y:.3f},{kind}" for x, y in random.normal(middle, 0.3, (60, 2))]
    path.write_text("\n".join(lines) + "\n")
