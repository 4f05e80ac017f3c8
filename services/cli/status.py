"""`drivetrain status`: what the prediction service serves and how busy it is, live."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.cli.errors import TransientError
from services.cli.looks import Activity, Look, activities, look
from services.cli.tables import print_table


def status(
    address: Annotated[
        str, typer.Option("--address", envvar="DRIVETRAIN_PREDICTION_ADDRESS", help="HOST:PORT of the service.")
    ] = "localhost:8001",
    once: Annotated[bool, typer.Option("--once", help="Show one interval, then end; so without a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each interval.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show what the prediction service serves: models, versions, aliases, rates and latencies, live.

    Rates and means are those of the last interval. A service that goes away meanwhile is waited for. Ctrl-C ends it.

    Example: drivetrain status --once --json | jq '.models[].requests_per_second'
    """
    from services.cli.connection import Connection
    from services.cli.prediction_client import SERVICE

    with Connection(SERVICE, address) as connection:
        first = look(connection)  # raises, if the service is away from the beginning
        intervals = _intervals(first, lambda: look(connection), interval)
        if as_json:
            _print_lines(intervals, address, once=once)
        elif once or not sys.stdout.isatty():
            found, problem = next(intervals)
            if problem is not None:
                raise problem
            print_table(table(found))
        else:
            _show(intervals, address)


Intervals = Iterator[tuple[list[Activity], TransientError | None]]
"""What was done in each interval or, with what was seen last, why that is not known."""


def _intervals(before: Look, take: Callable[[], Look], interval_s: float) -> Intervals:
    found: list[Activity] = []
    while True:
        time.sleep(interval_s)
        try:
            now = take()
        except TransientError as error:
            yield found, error
            continue
        found = activities(before, now)
        before = now
        yield found, None


def _print_lines(intervals: Intervals, address: str, *, once: bool) -> None:
    for found, problem in intervals:
        line: dict[str, object] = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "address": address}
        line |= {"error": str(problem)} if problem else {"models": [each.as_json() for each in found]}
        typer.echo(json.dumps(line))
        if once:
            if problem is not None:
                raise problem
            return


def _show(intervals: Intervals, address: str) -> None:
    console = Console(markup=False, highlight=False)
    with Live(Text(f"asking {address}"), console=console, auto_refresh=False) as live:
        for found, problem in intervals:
            told = Text(str(problem), style="bold red") if problem else Text(f"{address}, Ctrl-C ends it", style="dim")
            live.update(Group(table(found), told), refresh=True)


def table(found: Sequence[Activity]) -> Table:
    """A row a version."""
    result = Table("model", "version", "state", box=None)
    for header in ("req/s", "rows/s", "failed/s", "queue, ms", "compute, ms", "rows/batch"):
        result.add_column(header, justify="right")
    result.add_column("note")
    for each in found:
        rates = (f"{rate:,.1f}" for rate in (each.requests_per_second, each.rows_per_second, each.failures_per_second))
        means = ("" if mean is None else f"{mean:.3g}" for mean in (each.queue_ms, each.compute_ms))
        batch = "" if each.rows_per_batch is None else f"{each.rows_per_batch:.1f}"
        result.add_row(each.model, each.version, each.state, *rates, *means, batch, each.note)
    return result
