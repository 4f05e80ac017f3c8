"""`drivetrain serve`: options to settings, errors to exit codes. Heavy imports wait until the command runs."""

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

if TYPE_CHECKING:
    from services.prediction.settings import Settings


def _option(name: str, text: str, low: float | None = None, high: float | None = None) -> OptionInfo:
    """The option `--some-name`, which the variable DRIVETRAIN_PREDICTION_SOME_NAME sets too."""
    variable = name.removeprefix("--").split("/")[0].replace("-", "_").upper()
    option: OptionInfo = typer.Option(name, envvar=f"DRIVETRAIN_PREDICTION_{variable}", help=text, min=low, max=high)
    return option


def serve(
    host: Annotated[str, _option("--host", "Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, _option("--port", "gRPC port; 0 takes a free one.", 0, 65535)] = 8001,
    metrics_port: Annotated[int, _option("--metrics-port", "Port of the metrics; 0: a free one.", 0, 65535)] = 8002,
    threads: Annotated[int, _option("--threads", "onnxruntime threads inside one operator.", 1, 256)] = 1,
    poll_interval: Annotated[float, _option("--poll-interval", "Seconds between looks at the registry.", 0.01)] = 2.0,
    max_batch_size: Annotated[int, _option("--max-batch-size", "Most rows that requests share a run with.", 1)] = 64,
    max_request_rows: Annotated[int, _option("--max-request-rows", "Most rows of one request.", 1)] = 1024,
    max_queue_requests: Annotated[int, _option("--max-queue-requests", "Most that wait for one model.", 1)] = 1024,
    max_message_bytes: Annotated[int, _option("--max-message-bytes", "Largest message.", 1024)] = 16 * 2**20,
    drain_grace: Annotated[float, _option("--drain-grace", "Seconds for requests to finish on SIGTERM.", 0)] = 10.0,
    reflection: Annotated[bool, _option("--reflection/--no-reflection", "Whether clients may list services.")] = True,
    tokens_file: Annotated[Path | None, _option("--tokens-file", "Lines 'infer|admin TOKEN'; none: open.")] = None,
) -> None:
    """Serve the champion of every registered model over gRPC (Open Inference Protocol v2).

    Models come from MLFLOW_TRACKING_URI, or else from DRIVETRAIN_HOME. A newly promoted version takes over within a
    poll interval, between two requests.

    Example: drivetrain serve --port 8001 --threads 2
    """
    values: dict[str, object] = {
        "host": host,
        "port": port,
        "metrics_port": metrics_port,
        "threads": threads,
        "poll_interval_s": poll_interval,
        "max_batch_size": max_batch_size,
        "max_request_rows": max_request_rows,
        "max_queue_requests": max_queue_requests,
        "max_message_bytes": max_message_bytes,
        "drain_grace_s": drain_grace,
        "reflection": reflection,
        "tokens_file": tokens_file,
    }
    _run(_settings(values))


def _settings(values: dict[str, object]) -> "Settings":
    from pydantic import ValidationError

    from services.prediction.settings import Settings

    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _exit(error.errors()[0]["msg"].removeprefix("Value error, "), code=2) from error


def _run(settings: "Settings") -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read by gRPC when it is imported: errors are raised, not printed
    from pipelines.errors import DrivetrainError
    from pipelines.home import mlflow_client, set_mlflow_defaults, tracking_uri

    set_mlflow_defaults()
    from pipelines.registry.model_registry import ModelRegistry
    from services.prediction import server
    from services.prediction.errors import InvalidSettingsError

    # By force: `drivetrain` has set up a terser log for its other commands.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a line for each migration of a new store
    try:
        asyncio.run(server.serve(settings, ModelRegistry(mlflow_client(), tracking_uri())))
    except InvalidSettingsError as error:
        raise _exit(str(error), code=2) from error
    except DrivetrainError as error:
        raise _exit(str(error), code=1) from error


def _exit(message: str, code: int) -> typer.Exit:
    typer.echo(f"error: {message}", err=True)
    return typer.Exit(code)
