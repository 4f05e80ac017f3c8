"""`drivetrain serve`: options to settings, errors to exit codes. Heavy imports wait until the command runs."""

import asyncio
import logging
import os

import typer

from services.prediction.settings import Settings
from services.rpc.options import with_options_of

_MLFLOW_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # every look at the registry is a retry of the one before
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds without a byte; a server that hangs is given up after twice that
}


@with_options_of(Settings, "DRIVETRAIN_PREDICTION")
def serve(settings: Settings) -> None:
    """Serve every version that an alias of the registry names over gRPC (Open Inference Protocol v2).

    Models come from MLFLOW_TRACKING_URI, or else from DRIVETRAIN_HOME. A newly promoted version takes over within a
    poll interval, between two requests. With a cache a restarted server serves what it served before, also while the
    registry is away.

    Example: drivetrain serve --port 8001 --threads 2
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read by gRPC when it is imported: errors are raised, not printed
    for name, value in _MLFLOW_PATIENCE.items():
        os.environ.setdefault(name, value)
    from pipelines.errors import DrivetrainError
    from pipelines.home import mlflow_client, set_mlflow_defaults, tracking_uri

    set_mlflow_defaults()
    from pipelines.registry.model_registry import ModelRegistry
    from services.prediction import server
    from services.rpc import logs
    from services.rpc.errors import InvalidSettingsError

    logs.configure()
    try:
        ended = asyncio.run(server.serve(settings, ModelRegistry(mlflow_client(), tracking_uri())))
    except DrivetrainError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidSettingsError) else 1) from error
    if not ended:
        logging.shutdown()
        os._exit(0)  # Python's own end frees what the model's thread still uses: the process would abort
