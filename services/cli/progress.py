"""What a terminal shows of a training job: its stages, and a bar with the figures of the last epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from pipelines.training.loop import EpochReport


class TrainingProgress:
    """The progress of one job, drawn while the `with` block lasts; where there is no terminal it prints lines."""

    def __init__(self, console: Console, name: str, epochs: int) -> None:
        self._console = console
        self._name = name
        self._epochs_a_line = min(10, max(1, -(-epochs // 10)))  # about ten lines, of long jobs more
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
        self.stop()

    def stop(self) -> None:
        """Draw no more."""
        self._progress.stop()

    def stage(self, text: str) -> None:
        """Show what is being done."""
        self._progress.update(self._task, description=escape(text))
        if not self._console.is_terminal:
            self._console.print(f"{self._name}: {text}", highlight=False, soft_wrap=True, markup=False)

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the figures of an epoch, which `metrics` has by their MLflow names."""
        text = figures(metrics)
        self._progress.update(self._task, completed=epoch, description=text)
        if not self._console.is_terminal and epoch % self._epochs_a_line == 0:
            self._console.print(f"{self._name}: epoch {epoch}  {text}", highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(f"{self._name}: {text}", highlight=False, soft_wrap=True, markup=False)


def figures(metrics: Mapping[str, float]) -> str:
    """The figures of an epoch that tell how training goes, losses first."""
    first = ["train_loss", "val_loss"]
    names = first + sorted(name for name in metrics if name.startswith("val_") and name not in first)
    shown = [f"{name.replace('_', ' ')} {metrics[name]:.4f}" for name in names if name in metrics]
    return "  ".join([*shown, f"{metrics.get('rows_per_second', 0):,.0f} rows/s"])


@dataclass
class PipelineWatcher:
    """Shows the progress of a job that runs in this process."""

    progress: TrainingProgress
    run_id: str = ""
    """Empty until a run is open."""

    def opened(self, run_id: str) -> None:
        """The job has a run."""
        self.run_id = run_id

    def stage(self, text: str) -> None:
        """A new stage has begun."""
        self.progress.stage(text)

    def epoch(self, report: "EpochReport") -> None:
        """An epoch is over."""
        self.progress.epoch(report.epoch, report.metrics)

    def warning(self, text: str) -> None:
        """Something about the job looks wrong."""
        self.progress.note(f"warning: {text}")
