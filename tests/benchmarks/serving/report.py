"""What the benchmark leaves: a table for the terminal, and all figures as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from tests.benchmarks.machine import describe
from tests.benchmarks.serving.figures import Cell, Cells, Measurement, Reference, reference
from tests.benchmarks.serving.grid import Plan
from tests.benchmarks.serving.models import MODELS


def table(cells: Cells, titles: Mapping[str, str], references: Sequence[str]) -> Table:
    """One row a model, number in flight and contestant; ratios against the best of the references."""
    result = Table(title="one-row requests; × is against the better Triton", box=None, pad_edge=False)
    for header in ("model", "in flight", "server"):
        result.add_column(header)
    for header in ("req/s", "×", "p50, ms", "p99, ms", "×", "errors", "checked"):
        result.add_column(header, justify="right", no_wrap=True)
    previous = None
    ordered = sorted(cells, key=lambda key: (MODELS.index(key.model), key.in_flight))
    for key in ordered:
        if previous not in (None, key[:2]):
            result.add_section()
        best = reference(cells, key.model, key.in_flight, references)
        place = (key.model, str(key.in_flight)) if previous != key[:2] else ("", "")
        result.add_row(*place, titles[key.contestant], *_figures(cells[key], best))
        previous = key[:2]
    return result


def _figures(cell: Cell, best: Reference | None) -> tuple[str, ...]:
    rate = f"{cell.requests_per_second / best.requests_per_second:.2f}" if best else ""
    p99 = f"{cell.p99_ms / best.p99_ms:.2f}" if best else ""
    errors, wrong = f"{cell.errors:,}", f"{cell.wrong} of {cell.checked} wrong" if cell.wrong else f"{cell.checked}"
    return f"{cell.requests_per_second:,.0f}", rate, f"{cell.p50_ms:.2f}", f"{cell.p99_ms:.2f}", p99, errors, wrong


def write_markdown(file: Path, cells: Cells, columns: Mapping[str, Sequence[str]]) -> None:
    """The table of a README: requests a second and p99 in ms; of several contestants in a column the best of each.

    The last column is the ratio of the first two columns' rates.
    """
    lines = [f"| model | in flight | {' | '.join(columns)} | ratio |", "|---|--:|" + "--:|" * (len(columns) + 1)]
    for model, in_flight in dict.fromkeys((key.model, key.in_flight) for key in cells):
        best = [reference(cells, model, in_flight, names) for names in columns.values()]
        figures = [f"{each.requests_per_second:,.0f} ({each.p99_ms:.2f})" if each else "" for each in best]
        ratio = f"{best[0].requests_per_second / best[1].requests_per_second:.2f}" if best[0] and best[1] else ""
        lines.append(f"| {model} | {in_flight} | {' | '.join(figures)} | {ratio} |")
    file.write_text("\n".join(lines) + "\n")


def write_json(file: Path, plan: Plan, measurements: Sequence[Measurement], failures: Sequence[str]) -> None:
    """The raw figures with where, when and how they were taken."""
    content = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
        "plan": asdict(plan),
        "failures": list(failures),
        "measurements": [_flat(measurement) for measurement in measurements],
    }
    file.write_text(json.dumps(content, indent=1) + "\n")


def _flat(measurement: Measurement) -> dict[str, object]:
    checks = {"checked": measurement.checked, "problems": list(measurement.problems)}
    return measurement.key._asdict() | {"repetition": measurement.repetition} | asdict(measurement.load) | checks
