"""Small jobs, whoever watches them, and questions to the store that they leave behind."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.home import mlflow_client, tracking_uri
from pipelines.pipeline import Outcome
from pipelines.registry.model_registry import ModelRegistry
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.loop import EpochReport

MODEL = "small"
FOREVER: dict[str, Any] = {"epochs": 1_000_000}
"""A job that only its end from outside ends."""

BARELY: dict[str, Any] = {"optimizer": {"name": "sgd", "learning_rate": 1e-9}}
"""Leaves the first weights as they are: a bad model."""

_SMALL: dict[str, Any] = {
    "name": MODEL,
    "data": {"source": "synthetic", "rows": 300, "features": 4, "classes": 3},
    "model": {"family": "mlp", "hidden": [16]},
    "optimizer": {"name": "adam", "learning_rate": 0.02},
    "regularization": {"l1": 0.001, "l2": 0.01},
    "training": {"epochs": 4},
}


def small(**sections: object) -> TrainingSpec:
    """A job of a second or two; `sections` replace the spec's own."""
    return build_spec(_SMALL | sections)


@dataclass
class Recorder:
    """A watcher that keeps what it is told; the hooks let a test act in the middle of a job."""

    stages: list[str] = field(default_factory=list)
    reports: list[EpochReport] = field(default_factory=list)
    on_stage: Callable[[str], None] = lambda _: None
    warnings: list[str] = field(default_factory=list)
    on_epoch: Callable[[EpochReport], None] = lambda _: None

    def opened(self, run_id: str) -> None: ...

    def stage(self, text: str) -> None:
        self.stages.append(text)
        self.on_stage(text)

    def epoch(self, report: EpochReport) -> None:
        self.reports.append(report)
        self.on_epoch(report)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@dataclass(frozen=True)
class Job:
    """A job that is over."""

    spec: TrainingSpec
    recorder: Recorder
    outcome: Outcome


@dataclass(frozen=True)
class Home:
    """The embedded state at `DRIVETRAIN_HOME`, as the code under test sees it now."""

    directory: Path

    @property
    def client(self) -> MlflowClient:
        return mlflow_client()

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.client, tracking_uri())

    def runs(self, experiment: str = MODEL) -> list[Run]:
        """All runs of an experiment, oldest first."""
        found = self.client.get_experiment_by_name(experiment)
        if found is None:
            return []
        return list(self.client.search_runs([found.experiment_id], order_by=["start_time ASC"]))

    def copy_to(self, directory: Path) -> None:
        """Give another home the same runs and versions; the artifacts stay where they are, to be read only."""
        shutil.copy(self.directory / "mlflow.db", directory / "mlflow.db")

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Take a table of MLflow's database away meanwhile: whatever needs it fails."""
        self._rename(table, f"{table}_hidden")
        try:
            yield
        finally:
            self._rename(f"{table}_hidden", table)

    def _rename(self, table: str, name: str) -> None:
        with closing(sqlite3.connect(self.directory / "mlflow.db")) as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO {name}")
