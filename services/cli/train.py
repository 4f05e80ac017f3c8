"""`drivetrain train`: run the pipeline here, on a local Ray or the one at RAY_ADDRESS, or on a training service."""

import shlex
from typing import Annotated

import typer

from services.cli.errors import InputError


def train(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe (see: drivetrain recipes).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a field; may be repeated.")
    ] = None,
    remote: Annotated[
        str,
        typer.Option(
            "--remote",
            metavar="HOST:PORT",
            envvar="DRIVETRAIN_TRAINING_ADDRESS",
            help="Train on this training service; empty: here.",
        ),
    ] = "",
    key: Annotated[
        str, typer.Option("--key", help="With --remote: the same key gives the same job; by default a fresh one.")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="With --remote: submit, and do not wait.")] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Try growing learning rates, suggest one, and train nothing.")
    ] = False,
) -> None:
    """Train a spec, register the model, and make it champion if it is at least as good.

    Runs are tracked at MLFLOW_TRACKING_URI, or else under DRIVETRAIN_HOME (default .drivetrain). Workers run on the Ray
    cluster at RAY_ADDRESS, or else on a local one that ends with the command.

    With --remote all of that is the training service's: a local file in data.path is uploaded first, and Ctrl-C leaves
    the job running (exit code 130), to be watched again with drivetrain watch.

    With --find-lr nothing is trained, tracked or registered: it prints the learning rate at which the loss falls
    fastest, and where it drew the loss against the rate, as in: drivetrain train digits-mlp --find-lr

    Example: drivetrain train digits-mlp --set training.epochs=5 --set optimizer.learning_rate=0.01
    """
    from pipelines.spec_file import load_spec

    _refuse_what_does_not_go_together(remote, key, detach=detach, find_lr=find_lr)
    parsed = load_spec(spec, overrides or [])
    if find_lr:
        from services.cli.find_rate import find_rate

        find_rate(parsed, shlex.join([spec, *(part for each in overrides or [] for part in ("--set", each))]))
    elif remote:
        from services.cli.remote_train import train_remotely

        train_remotely(parsed, remote, key=key, detach=detach)
    else:
        from services.cli.here import train_here

        train_here(parsed)


def _refuse_what_does_not_go_together(remote: str, key: str, *, detach: bool, find_lr: bool) -> None:
    options = {f"--remote (or DRIVETRAIN_TRAINING_ADDRESS) {remote}": remote, f"--key {key}": key, "--detach": detach}
    given = [option for option, value in options.items() if value]
    if find_lr and given:
        came = " and ".join(given)
        raise InputError(f"--find-lr: expected without --remote, --key and --detach, as it runs here, came with {came}")
    if given and not remote:
        option = given[0].partition(" ")[0]
        raise InputError(f"{option}: expected together with --remote or DRIVETRAIN_TRAINING_ADDRESS, came alone")
