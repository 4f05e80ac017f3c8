"""Where state lives: `DRIVETRAIN_HOME` for the embedded default, `MLFLOW_TRACKING_URI` for a real server."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def home() -> Path:
    """Folder of the embedded state: `DRIVETRAIN_HOME`, by default `.drivetrain` in the working directory."""
    return Path(os.environ.get("DRIVETRAIN_HOME", ".drivetrain")).absolute()


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI` where it is set, else sqlite under `home()`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


def artifact_location(experiment: str) -> str | None:
    """Where an experiment's artifacts go: a folder under `home()`, or the server's own choice (None)."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    return (home() / "artifacts" / experiment).as_uri()


def mlflow_client() -> "MlflowClient":
    """A client of the store at `tracking_uri()`; makes the embedded folder first."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read by MLflow when it is imported
    from mlflow import MlflowClient  # noqa: PLC0415 - a second of import that most commands need not pay

    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
