import io

import pytest
from rich.console import Console

from pipelines.training.loop import EpochReport
from pipelines.training.tally import Measures
from services.cli.progress import PipelineWatcher, TrainingProgress, figures
from services.cli.result import Result


def report(epoch: int) -> EpochReport:
    train, validation = Measures(1.5, {"accuracy": 0.25}), Measures(1.25, {"accuracy": 0.5})
    return EpochReport(epoch, train, validation, 0.0, 0.1, 1.0, 1234.4, best=True)


def test_the_figures_of_an_epoch_have_the_losses_first() -> None:
    metrics = {"val_r2": 0.5, "val_mae": 2, "train_loss": 1, "val_loss": 3, "penalty": 4, "rows_per_second": 5678.9}
    assert figures(metrics) == "train loss 1.0000  val loss 3.0000  val mae 2.0000  val r2 0.5000  5,679 rows/s"
    assert figures({"train_loss": 1}) == "train loss 1.0000  0 rows/s"


@pytest.mark.parametrize(
    ("epochs", "shown"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (10, list(range(1, 11))),
        (30, list(range(3, 31, 3))),
        (95, list(range(10, 96, 10))),
        (500, list(range(10, 501, 10))),
    ],
)
def test_without_a_terminal_there_are_about_ten_lines_of_epochs(epochs: int, shown: list[int]) -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text), "digits", epochs) as progress:
        for epoch in range(1, epochs + 1):
            progress.epoch(epoch, {})
    assert text.getvalue().splitlines() == [f"digits: epoch {epoch}  0 rows/s" for epoch in shown]


def test_without_a_terminal_stages_and_epochs_are_lines() -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text), "digits", 100) as progress:
        watcher = PipelineWatcher(progress)
        watcher.stage("loading [data]")
        for epoch in range(1, 12):
            watcher.epoch(report(epoch))
        progress.note("the [service] is away")
    assert text.getvalue().splitlines() == [
        "digits: loading [data]",
        "digits: epoch 10  train loss 1.5000  val loss 1.2500  val accuracy 0.5000  1,234 rows/s",
        "digits: the [service] is away",
    ]


def test_a_terminal_shows_a_bar_with_the_last_figures() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=150, force_interactive=True)
    with TrainingProgress(console, "digits", 20) as progress:
        progress.stage("waiting [1 of 2]")
        progress.epoch(7, {"train_loss": 1.0})
    assert "waiting [1 of 2]" in text.getvalue() or "train loss 1.0000" in text.getvalue()
    assert "7/20" in text.getvalue()


def test_a_result_reads_the_same_wherever_it_came_from() -> None:
    result = Result("digits", "3", "4f1c", False, "worse", 7, {"loss": 0.5, "accuracy": 0.98765}, 12.34)
    assert result.describe().splitlines() == [
        "[bold green]digits version 3[/] trained in 12.3 s (best epoch 7)",
        "  test: accuracy 0.9877, loss 0.5000",
        "  is not champion: worse; run 4f1c",
    ]


def test_a_warning_is_a_line_that_stays() -> None:
    text = io.StringIO()
    with TrainingProgress(Console(file=text), "digits", 20) as progress:
        PipelineWatcher(progress).warning("epoch 2: half of it is [dead]")
    assert text.getvalue() == "digits: warning: epoch 2: half of it is [dead]\n"
