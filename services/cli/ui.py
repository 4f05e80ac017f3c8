"""`drivetrain ui`: MLflow's own UI, on the store that the other commands use."""

import os
import socket
import subprocess
import sys
from typing import Annotated

import typer
from rich.console import Console

from services.cli.errors import InputError

_QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_UVICORN_OPTS": "--log-level warning",
    "PYTHONWARNINGS": "ignore:starlette.middleware.wsgi is deprecated",  # which MLflow imports
}
"""What MLflow would say at its start that is of no use here; errors are still told. The user's own variables win."""


def ui(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the UI.")] = 5000,
) -> None:
    """Open MLflow's UI on the runs and models here, until Ctrl-C.

    With MLFLOW_TRACKING_URI set to a server, that server has the UI, and its address is printed.

    Example: drivetrain ui --port 5001
    """
    from pipelines.home import home, mlflow_client, tracking_uri

    console = Console()
    uri = tracking_uri()
    if uri.startswith(("http://", "https://")):
        console.print(f"the MLflow UI is at {uri}", highlight=False, soft_wrap=True)
        return
    _require_free(host, port)
    mlflow_client()  # makes the folder of the embedded store
    console.print(f"the MLflow UI will be at http://{host}:{port} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--registry-store-uri", uri]
    command += ["--default-artifact-root", (home() / "artifacts").as_uri(), "--host", host, "--port", str(port)]
    command += ["--workers", "1"]  # MLflow's own four take several times as long to start
    with subprocess.Popen(command, env=_QUIET | os.environ) as server:
        try:
            code = server.wait()
        except KeyboardInterrupt:
            server.terminate()
            code = 0
    raise typer.Exit(1 if code else 0)


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"--port: expected a free port on {host}, came {port} ({error.strerror})") from error
