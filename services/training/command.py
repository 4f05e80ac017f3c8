"""`drivetrain serve-training`: options to settings, errors to exit codes. Heavy imports wait until the command runs."""

import asyncio
import os

import typer

from services.rpc.options import with_options_of
from services.training.settings import Settings

_MLFLOW_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a second `create_run` would be a second job; looks come again anyway
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds without a byte
}


@with_options_of(Settings, "DRIVETRAIN_TRAINING")
def serve_training(settings: Settings) -> None:
    """Take training jobs over gRPC and run them on the Ray cluster whose dashboard `--ray-dashboard` names.

    Jobs are runs of MLflow at MLFLOW_TRACKING_URI, or else under DRIVETRAIN_HOME. The cluster's nodes need the same
    DRIVETRAIN_HOME and MLFLOW_TRACKING_URI: checkpoints, uploads and journals lie there.

    Example: drivetrain serve-training --port 8003 --max-running-jobs 4
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read by gRPC when it is imported: errors are raised, not printed
    for name, value in _MLFLOW_PATIENCE.items():
        os.environ.setdefault(name, value)
    from pipelines.errors import DrivetrainError
    from pipelines.home import mlflow_client, set_mlflow_defaults

    set_mlflow_defaults()
    from services.rpc import logs
    from services.rpc.errors import InvalidSettingsError
    from services.training import server

    logs.configure()
    try:
        asyncio.run(server.serve(settings, mlflow_client()))
    except DrivetrainError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidSettingsError) else 1) from error
