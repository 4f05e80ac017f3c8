"""`drivetrain train`: run the pipeline here, on a local Ray or the one at RAY_ADDRESS."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from pipelines.pipeline import Outcome


def train(
    spec: Annotated[str, typer.Argument(help="A YAML file, or the name of a recipe (see: drivetrain recipes).")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a field; may be repeated.")
    ] = None,
) -> None:
    """Train a spec, register the model, and make it champion if it is at least as good.

    Runs are tracked at MLFLOW_TRACKING_URI, or else under DRIVETRAIN_HOME (default .drivetrain). Workers run on the Ray
    cluster at RAY_ADDRESS, or else on a local one that ends with the command.

    Example: drivetrain train digits-mlp --set training.epochs=5 --set optimizer.learning_rate=0.01
    """
    from pipelines.spec_file import load_spec

    console = Console()
    parsed = load_spec(spec, overrides or [])
    with console.status("loading torch, Ray and MLflow"):
        from pipelines.pipeline import run_pipeline
        from services.cli.progress import TrainingProgress
    try:
        with TrainingProgress(console, parsed.name, parsed.training.epochs) as progress:
            outcome = run_pipeline(parsed, progress)
    except KeyboardInterrupt:
        Console(stderr=True).print(f"interrupted; its run, if one was open, is KILLED: drivetrain runs {parsed.name}")
        raise
    console.print(describe(outcome), highlight=False, soft_wrap=True)


def describe(outcome: "Outcome") -> str:
    """What a job came to, in three lines of text."""
    held_out = ", ".join(f"{name} {value:.4f}" for name, value in outcome.test.metrics.items())
    verdict = "is champion" if outcome.decision.promote else "is not champion"
    return (
        f"[bold green]{outcome.model} version {outcome.version}[/] trained in {outcome.seconds:.1f} s "
        f"(best epoch {outcome.best_epoch})\n"
        f"  test: {held_out}\n"
        f"  {verdict}: {outcome.decision.reason}; run {outcome.run_id}"
    )
