"""Backup, purge, restore: champion, history and served answers are the same. An upgrade of an old schema works."""

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.datasets import load_digits

from services.cli.prediction_client import prediction_client
from services.cli.training_client import TrainingClient
from tests.e2e.compose.jobs import curve, runs_of
from tests.e2e.compose.stack import address, compose, eventually, inside, script

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("_served")]

MODEL = "digits-cnn"


def answers() -> list[list[float]]:
    rows = load_digits().images[:50, None].astype(np.float32)
    with prediction_client(address("prediction", 8001)) as client:
        eventually(lambda: client.is_model_ready(MODEL), 60, f"{MODEL} is served")
        probabilities = client.predict(MODEL, rows).probabilities
    return [[float(value) for value in row] for row in probabilities]


@pytest.fixture(scope="module", autouse=True)
def _prometheus() -> Iterator[None]:
    """A restored stack starts without the profiles; other tests want to measure."""
    yield
    compose("up", "--detach", "--wait", "prometheus")


def artifacts(mlflow: MlflowClient, run: str) -> list[str]:
    """What a run has kept; the logs of a job come last, soon after its end."""

    def kept() -> list[str]:
        paths = sorted(file.path for file in mlflow.list_artifacts(run))
        return paths if "logs" in paths else []

    return eventually(kept, 60, f"the logs of job {run} are kept")


def everything(training: TrainingClient, mlflow: MlflowClient) -> dict[str, Any]:
    """What users would miss."""
    runs = sorted(runs_of(mlflow, MODEL))
    champion = mlflow.get_model_version_by_alias(MODEL, "champion")
    return {
        "champion": (champion.version, champion.run_id, dict(champion.tags)),
        "versions": sorted(int(each.version) for each in mlflow.search_model_versions(f"name='{MODEL}'")),
        "runs": {run: mlflow.get_run(run).data.metrics for run in runs},
        "curves": {run: curve(mlflow, run) for run in runs},
        "artifacts": {run: artifacts(mlflow, run) for run in runs},
        "jobs": {job.id: (job.state, job.version) for job in training.jobs()},
        "answers": answers(),
    }


def test_backup_purge_restore(training: TrainingClient, mlflow: MlflowClient, tmp_path: Path) -> None:
    before = everything(training, mlflow)
    backup = tmp_path / "backup.tar"
    done = script("backup.sh", str(backup))
    assert done.returncode == 0, done.stderr
    assert backup.stat().st_mode & 0o077 == 0
    with tarfile.open(backup) as archive:
        assert {"./mlflow.dump", "./mlflow_auth.dump", "./artifacts.tar", "./state.tar"} <= set(archive.getnames())

    asked = script("purge.sh")
    assert asked.returncode == 1
    assert "nothing was removed" in asked.stderr
    assert script("purge.sh", CONFIRM="yes").returncode == 0
    assert compose("ps", "--all", "--quiet").split() == []

    password = Path(os.environ["DRIVETRAIN_SECRETS"]) / "mlflow-admin-password"
    password.unlink()  # a new stack has passwords of its own
    done = script("restore.sh", str(backup))
    assert done.returncode == 0, done.stdout + done.stderr
    os.environ["MLFLOW_TRACKING_PASSWORD"] = password.read_text()
    assert everything(training, mlflow) == before


def test_restore_replaces_what_is_there(training: TrainingClient, mlflow: MlflowClient, tmp_path: Path) -> None:
    before = everything(training, mlflow)
    backup = tmp_path / "backup.tar"
    assert script("backup.sh", str(backup)).returncode == 0
    version = mlflow.get_model_version_by_alias(MODEL, "champion").version
    mlflow.set_model_version_tag(MODEL, version, "since", "the backup")
    mlflow.log_text(before["champion"][1], "since the backup", "since.txt")
    assert everything(training, mlflow) != before
    asked = script("restore.sh", str(backup))
    assert (asked.returncode, asked.stderr.endswith("error: nothing was changed\n")) == (1, True)
    done = script("restore.sh", str(backup), CONFIRM="yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert everything(training, mlflow) == before


def test_a_damaged_backup_changes_nothing(training: TrainingClient, mlflow: MlflowClient, tmp_path: Path) -> None:
    backup, damaged = tmp_path / "backup.tar", tmp_path / "damaged.tar"
    assert script("backup.sh", str(backup)).returncode == 0
    with tarfile.open(backup) as archive:
        archive.extractall(tmp_path / "parts", filter="data")
    with (tmp_path / "parts/mlflow.dump").open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    with tarfile.open(damaged, "w") as archive:
        archive.add(tmp_path / "parts", ".")
    before = everything(training, mlflow)
    refused = script("restore.sh", str(damaged), CONFIRM="yes")
    assert refused.returncode == 1
    assert "damaged" in refused.stderr
    assert everything(training, mlflow) == before


OLD_SCHEMA = """
import sys
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

url = sys.argv[1]
engine = sqlalchemy.create_engine(url)
Base.metadata.create_all(engine)
config = _get_alembic_config(url)
revisions = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
with engine.begin() as connection:
    config.attributes["connection"] = connection
    command.upgrade(config, revisions[5])
print(revisions[0])
"""
"""Makes the database of a MLflow that lacks the last five migrations, and prints the newest of all."""

SCHEMA = "SELECT version_num FROM alembic_version"


def psql(database: str, query: str) -> str:
    return inside(
        "postgres", "psql", "--username", "mlflow", "--tuples-only", "--no-align", database, "-c", query
    ).strip()


def test_the_upgrade_brings_an_old_schema_up_to_date_and_keeps_its_data() -> None:
    psql("mlflow", "DROP DATABASE IF EXISTS old")
    psql("mlflow", "CREATE DATABASE old")
    url = "postgresql+psycopg2:///old"
    once = ("run", "--rm", "-T", "-e", f"MLFLOW_BACKEND_STORE_URI={url}", "mlflow-tool")
    *_, newest = compose(*once, "python", "-c", OLD_SCHEMA, url).split()
    assert psql("old", SCHEMA) != newest
    psql("old", "INSERT INTO experiments (name, lifecycle_stage) VALUES ('from before', 'active')")
    compose(*once)  # its command is the upgrade
    assert psql("old", SCHEMA) == newest
    assert psql("old", "SELECT name FROM experiments WHERE lifecycle_stage = 'active'") == "from before"
    psql("mlflow", "DROP DATABASE old")


def test_upgrade_of_the_stack_keeps_everything(training: TrainingClient, mlflow: MlflowClient) -> None:
    before = everything(training, mlflow)
    done = script("upgrade.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    written = next(line for line in done.stderr.splitlines() if line.startswith("written: "))
    Path(written.split()[1]).unlink()
    assert json.dumps(everything(training, mlflow), sort_keys=True) == json.dumps(before, sort_keys=True)
