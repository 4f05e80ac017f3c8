"""`python -m services.prediction`: the same command as `drivetrain serve`."""

import typer

from services.prediction.command import serve

if __name__ == "__main__":
    typer.run(serve)
