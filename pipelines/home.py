"""Where state lives: `DRIVETRAIN_HOME` for the embedded default, `MLFLOW_TRACKING_URI` for a real server."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
_MLFLOW_RETRIES = "3"
"""Waits 2, 4 and 8 s; with MLflow's own 7 a dead server takes minutes. The services want fewer, and say so before."""


def home() -> Path:
    """Folder of the embedded state: `DRIVETRAIN_HOME`, by default `.drivetrain` in the working directory."""
    return Path(os.environ.get("DRIVETRAIN_HOME") or ".drivetrain").absolute()


def checkpoints_folder(run_id: str) -> Path:
    """Where the workers of a run keep their checkpoints; on a cluster every node must see the same folder."""
    return home() / "checkpoints" / run_id


def datasets_folder() -> Path:
    """Uploaded data, each file under the SHA-256 of its content."""
    return home() / "datasets"


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI` where it is set, else sqlite under `home()`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home() / 'mlflow.db'}"


def artifact_location(experiment: str) -> str | None:
    """Where an experiment's artifacts go: a folder under `home()`, or the server's own choice (None)."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    return (home() / "artifacts" / experiment).as_uri()


def set_mlflow_defaults() -> None:
    """Quieten MLflow, unless the user's environment says otherwise.

    MLflow reads this when it is imported, so a process calls this first.
    """
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)


def mlflow_client() -> "MlflowClient":
    """A client of the store at `tracking_uri()`; makes the embedded folder first. TrackingError for a wrong URI.

    An interrupt ends a call to a server at once, and waits for the end of a call that writes a database from here.
    """
    set_mlflow_defaults()
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _MLFLOW_RETRIES)  # read at each request
    # Seconds of import that most commands need not pay.
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from pipelines.embedded_client import EmbeddedClient

    uri = tracking_uri()
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    try:
        if uri.startswith("http"):
            return MlflowClient(tracking_uri=uri, registry_uri=uri)
        return EmbeddedClient(uri)
    except MlflowException as error:
        raise TrackingError(f"MLFLOW_TRACKING_URI: expected a URI that MLflow knows, came {uri!r}") from error
