"""`drivetrain token`: a new token for a client, and the line that a service needs to know it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli.errors import InputError

Right = Literal["infer", "admin", "read", "submit"]


def token(
    right: Annotated[
        Right,
        typer.Argument(help="infer or admin at the prediction service; read or submit at the training service."),
    ],
    file: Annotated[
        Path | None, typer.Option("--file", help="Add the line to this tokens file, which is made if it is missing.")
    ] = None,
) -> None:
    """Make a token. Standard output is the token, which is shown this once; services keep its hash alone.

    A running service takes the line within a second or two. To take a right away, remove the line.

    Example: drivetrain token infer --file prediction-tokens > shop-token
    """
    from services.rpc.credentials import new_token, token_line

    made = new_token()
    line = token_line(right, made)
    if file is not None:
        _append(file, line)
    typer.echo(f"added to {file}:" if file else "add to the tokens file of the service:", err=True)
    typer.echo(f"  {line}", err=True)
    typer.echo(made)


def _append(file: Path, line: str) -> None:
    """In place, never by a new file in its place: containers see the file that they were started with."""
    try:
        file.touch(mode=0o600)
        before = file.read_text()
        with file.open("a") as opened:
            opened.write(f"{line}\n" if before.endswith("\n") or not before else f"\n{line}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--file: expected a text file that you may write to, came {str(file)!r} ({error})") from error
