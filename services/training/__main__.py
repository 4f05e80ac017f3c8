"""`python -m services.training`: the same command as `drivetrain serve-training`."""

import typer

from services.training.command import serve_training

if __name__ == "__main__":
    typer.run(serve_training)
