"""What a terminal shows of a training job: its stages, and a bar with the figures of the last epoch."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from pipelines.training.loop import EpochReport


class TrainingProgress:
    """A watcher of one job, drawn while the `with` block lasts; where there is no terminal it prints lines."""

    def __init__(self, console: Console, name: str, epochs: int) -> None:
        self._console = console
        self._name = name
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[model]}[/]"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=epochs, model=name)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def stage(self, text: str) -> None:
        """Show what is being done."""
        self._progress.update(self._task, description=text)
        if not self._console.is_terminal:
            self._console.print(f"{self._name}: {text}", highlight=False, soft_wrap=True)

    def epoch(self, report: EpochReport) -> None:
        """Show the figures of an epoch."""
        figures = {"train loss": report.train.loss, "val loss": report.validation.loss}
        figures |= {f"val {name}": value for name, value in report.validation.metrics.items()}
        text = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        text += f"  {report.rows_per_second:,.0f} rows/s"
        self._progress.update(self._task, completed=report.epoch, description=text)
        if not self._console.is_terminal and report.epoch % 10 == 0:
            self._console.print(f"{self._name}: epoch {report.epoch}  {text}", highlight=False, soft_wrap=True)
