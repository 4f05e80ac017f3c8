"""The `drivetrain` command: its subcommands, and what becomes of errors."""

import inspect
import logging
import os
import signal
import sys

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.errors import DataError, DrivetrainError, ResourceError, SpecError
from pipelines.home import set_mlflow_defaults
from services.cli.demo import demo
from services.cli.doctor import doctor
from services.cli.errors import InputError
from services.cli.jobs import cancel, jobs, resume, upload, watch
from services.cli.predict import predict
from services.cli.registry import models, promote, rollback, runs, traffic
from services.cli.specs import init, recipes, schema
from services.cli.status import status
from services.cli.token import token
from services.cli.train import train
from services.cli.ui import ui
from services.prediction.command import serve
from services.training.command import serve_training

USER_ERRORS = (SpecError, DataError, ResourceError, InputError)
"""What the user can mend: exit code 2. Any other error of ours is a failed job: exit code 1."""

app = typer.Typer(
    name="drivetrain",
    help="From one YAML spec to served predictions.\n\n"
    "Exit codes: 0 done, 1 the job failed, 2 the input was wrong, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
COMMANDS = (
    *(train, jobs, watch, cancel, resume, upload),
    *(models, runs, promote, rollback, traffic),
    *(serve, serve_training, token, predict, status, ui, doctor),
    *(recipes, init, schema, demo),
)


def _flowing(text: str) -> str:
    """The same paragraphs, each in one line: the terminal breaks it by its own width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for command in COMMANDS:
    app.command(help=_flowing(inspect.getdoc(command) or ""))(command)


def main() -> None:
    """Run the command line; exit 0 when done, 1 when a job failed, 2 when the input was wrong."""
    set_mlflow_defaults()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read by gRPC when it is imported: errors are raised, not printed
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a job as Ctrl-C does: its run is closed as KILLED
    try:
        app()
    except DrivetrainError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2 if isinstance(error, USER_ERRORS) else 1)
