"""What the benchmark leaves: tables for the terminal and for a README, and all figures as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.benchmarks.machine import describe
from tests.benchmarks.training.figures import Cell, Cells, Key, Measurement, Scaling, Starts
from tests.benchmarks.training.targets import OURS

_HEADERS = ("ms a step", "×", "rows/s", "first epoch, s", "final loss", "accuracy", "memory, MiB")


def table(cells: Cells, titles: Mapping[str, str]) -> Table:
    """A row a work and contestant; × is its time against Drivetrain's."""
    result = Table(title="training, batches of 32; × is the time against Drivetrain's", box=None, pad_edge=False)
    for header in ("work", "loop"):
        result.add_column(header)
    for header in _HEADERS:
        result.add_column(header, justify="right", no_wrap=True)
    for work in dict.fromkeys(key.work for key in cells):
        result.add_section()
        ours = cells.get(Key(work, OURS))
        of_work = {key.contestant: cell for key, cell in cells.items() if key.work == work}
        for number, name in enumerate(name for name in titles if name in of_work):
            result.add_row("" if number else work, titles[name], *_figures(of_work[name], ours))
    return result


def on_ray(starts: Starts | None, scaling: Scaling | None) -> list[str]:
    """What Ray has to do with, a line each."""
    lines = []
    if starts:
        lines.append(
            f"start to first step on a running Ray: Drivetrain {starts.drivetrain_s:.2f} s, "
            f"bare TorchTrainer {starts.torch_trainer_s:.2f} s"
        )
    if scaling:
        rates = ", ".join(f"{count}: {rate:,.0f}" for count, rate in scaling.rows_per_second.items())
        lines.append(f"CNN, rows a second by workers (fp32, batches of 128 rows together): {rates}")
    return lines


def write_markdown(file: Path, cells: Cells, titles: Mapping[str, str]) -> None:
    """The table of a README: ms a step, a column a contestant that does everything; in brackets rows a second."""
    works = list(dict.fromkeys(key.work for key in cells))
    names = [name for name in titles if all(Key(work, name) in cells for work in works)]
    head = " | ".join(titles[name] for name in names)
    lines = [f"| work | {head} |", "|---|" + "--:|" * len(names)]
    for work in works:
        row = [cells[Key(work, name)] for name in names]
        figures = " | ".join(f"{cell.ms_a_step:.2f} ({cell.rows_per_second:,.0f})" for cell in row)
        lines.append(f"| {work} | {figures} |")
    file.write_text("\n".join(lines) + "\n")


def write_json(
    file: Path, measurements: Sequence[Measurement], on_ray_told: Mapping[str, Any], failures: Sequence[str]
) -> None:
    """The raw figures with where and when they were taken."""
    content = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "failures": list(failures),
        "measurements": [asdict(each) | {"key": each.key._asdict()} for each in measurements],
        **on_ray_told,
    }
    file.write_text(json.dumps(content, indent=1) + "\n")


def _figures(cell: Cell, ours: Cell | None) -> tuple[str, ...]:
    return (
        f"{cell.ms_a_step:.3f}",
        f"{cell.ms_a_step / ours.ms_a_step:.2f}" if ours else "",
        f"{cell.rows_per_second:,.0f}",
        f"{cell.first_epoch_s:.2f}",
        f"{cell.loss:.4f}",
        f"{100 * cell.accuracy:.2f} %",
        f"{cell.peak_bytes / 2**20:.0f}",
    )
