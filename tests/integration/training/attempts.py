"""Jobs as the service leaves them to a driver, and drivers as processes of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from pipelines.home import artifact_location, checkpoints_folder
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec
from services.training.journal import attempt_path, write_fence
from services.training.record import ATTEMPT_TAG, JOB_TAG, spec_tags
from tests.integration.pipelines.jobs import Home

Line = dict[str, Any]


def submit(home: Home, spec: TrainingSpec, **tags: str) -> str:
    """Make the run of a job, SCHEDULED; return its id."""
    client = home.client
    found = client.get_experiment_by_name(spec.name)
    location = artifact_location(spec.name)
    experiment_id = found.experiment_id if found else client.create_experiment(spec.name, location)
    all_tags = {JOB_TAG: "1", ATTEMPT_TAG: "1"} | spec_tags(dump_spec(spec)) | tags
    run_id: str = client.create_run(experiment_id, tags=all_tags).info.run_id
    client.update_run(run_id, status="SCHEDULED")
    return run_id


@contextmanager
def driver(run_id: str, attempt: int) -> Iterator[subprocess.Popen[bytes]]:
    """A driver of an attempt that nobody supersedes yet, on a Ray of its own; it does not outlast the block."""
    write_fence(run_id, attempt)
    command = [sys.executable, "-m", "services.training.driver", run_id, str(attempt)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def run_of(home: Home, run_id: str) -> Run:
    return home.client.get_run(run_id)


def journal(run_id: str, attempt: int = 1) -> list[Line]:
    """The whole lines that an attempt has told so far."""
    path = attempt_path(run_id, attempt)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def epochs(lines: list[Line]) -> list[int]:
    return [line["epoch"] for line in lines if line["kind"] == "epoch"]


def checkpoints(run_id: str) -> list[Path]:
    return sorted(checkpoints_folder(run_id).rglob("*.pt"))
