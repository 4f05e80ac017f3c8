"""`drivetrain serve`: options to settings, errors to exit codes. Heavy imports wait until the command runs."""

from __future__ import annotations  # the place exists in the checker only: what it imports is heavy

import asyncio
import logging
import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

import typer

from services.prediction.settings import Settings
from services.rpc.options import with_options_of

if TYPE_CHECKING:
    from services.prediction.processes.place import Place

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
    raise typer.Exit(_run_several(settings) if settings.processes > 1 else run(settings))


def run(settings: Settings, place: Place | None = None) -> int:
    """Serve in this process, which is one of several if it has a place; the exit code."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read by gRPC when it is imported: errors are raised, not printed
    for name, value in _MLFLOW_PATIENCE.items():
        os.environ.setdefault(name, value)
    from pipelines.errors import DrivetrainError
    from pipelines.home import mlflow_client, set_mlflow_defaults, tracking_uri

    set_mlflow_defaults()
    from pipelines.registry.model_registry import ModelRegistry
    from services.prediction import server
    from services.prediction.processes.ledger import Ledger
    from services.rpc import logs
    from services.rpc.errors import InvalidSettingsError

    logs.configure("" if place is None else f"process {place.number}")
    try:
        with nullcontext() if place is None else Ledger(place.folder).blocking_turn():  # one makes a new database
            registry = ModelRegistry(mlflow_client(), tracking_uri())
        ended = asyncio.run(server.serve(settings, registry, place))
    except DrivetrainError as error:
        typer.echo(f"error: {error}", err=True)
        return 2 if isinstance(error, InvalidSettingsError) else 1
    if not ended:
        logging.shutdown()
        os._exit(0)  # Python's own end frees what the model's thread still uses: the process would abort
    return 0


def _run_several(settings: Settings) -> int:
    from services.prediction.processes.parent import serve_several
    from services.rpc import logs
    from services.rpc.errors import PortTakenError

    logs.configure()
    try:
        return asyncio.run(serve_several(settings))
    except PortTakenError as error:
        typer.echo(f"error: {error}", err=True)
        return 1
