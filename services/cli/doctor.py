"""`drivetrain doctor`: is everything there that the commands need, and if not, what to do."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from services.cli.checks.finding import Finding

LIMIT_S = 12.0

_MARKS = {"ok": "[green]ok    [/]", "absent": "[dim]absent[/]", "failed": "[bold red]FAILED[/]"}


def doctor(
    output: Annotated[Literal["text", "json"], typer.Option("--output", help="How to print the findings.")] = "text",
) -> None:
    """Check every address, version, token, right and clock that the commands need, and say what to do.

    Servers count where a variable names one (MLFLOW_TRACKING_URI, RAY_ADDRESS, DRIVETRAIN_TRAINING_ADDRESS,
    DRIVETRAIN_PREDICTION_ADDRESS) or one answers at the usual address; whatever else is absent is no failure.
    On MLflow a model drivetrain-doctor-… is registered and deleted at once. The exit code is 1 if a check failed.

    Example: drivetrain doctor --output json
    """
    with Console(stderr=True).status("checking"):
        from services.cli.checks.cluster import ray_cluster
        from services.cli.checks.finding import run_checks
        from services.cli.checks.machine import libraries, state_folder
        from services.cli.checks.services import prediction_service, training_service
        from services.cli.checks.tracking import tracking

        checks = {
            "libraries": libraries,
            "DRIVETRAIN_HOME": state_folder,
            "MLflow": tracking,
            "Ray": ray_cluster,
            "training service": training_service,
            "prediction service": prediction_service,
        }
        found = run_checks(checks, LIMIT_S)
    if output == "json":
        typer.echo(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _print(found)
    if any(each.state == "failed" for each in found):
        raise typer.Exit(1)


def _print(found: "list[Finding]") -> None:
    console = Console(soft_wrap=True, highlight=False)
    width = max(len(each.name) for each in found)
    for each in found:
        advice = f"; {each.advice}" if each.advice else ""
        console.print(f"{_MARKS[each.state]}  {each.name:{width}}  {escape(each.detail + advice)}")
