"""`drivetrain train --find-lr`: suggest a learning rate, and change nothing."""

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from pipelines.spec.training_spec import TrainingSpec


def find_rate(spec: "TrainingSpec", given: str) -> None:
    """Print the suggestion for the spec that was `given`, with its settings, and where its picture is."""
    console = Console()
    with console.status("loading torch"):
        from pipelines.learning_rate import search_learning_rate
    with console.status("trying learning rates"):
        search = search_learning_rate(spec)
    rates, suggestion = search.curve.rates, search.curve.suggestion
    tried = f"{len(rates)} updates with rates from {rates[0]:.2g} to {rates[-1]:.2g}"
    if suggestion is None:
        told = f"no learning rate lowered the loss in {tried}: look at the data and the network"
    else:
        told = (
            f"suggested learning rate: {suggestion:g} (the spec has {spec.optimizer.learning_rate:g}); {tried}\n"
            f"  try it: drivetrain train {given} --set optimizer.learning_rate={suggestion:g}"
        )
    console.print(f"{told}\n  plot: {search.plot}", highlight=False, soft_wrap=True, markup=False)
