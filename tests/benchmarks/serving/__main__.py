"""The serving benchmark's command: choose, set up, measure, report."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from services.cli.tables import print_table
from tests.benchmarks.contest import Missing, count
from tests.benchmarks.machine import warn_if_busy
from tests.benchmarks.serving import contestants as table_of
from tests.benchmarks.serving import load, plot, report, targets
from tests.benchmarks.serving.contestant import Contestant
from tests.benchmarks.serving.figures import Cell, Key, Measurement, summarise
from tests.benchmarks.serving.grid import Plan, measure
from tests.benchmarks.serving.models import MODELS, Model, provide
from tests.benchmarks.verdicts import verdict_table

FOLDER = Path("build/benchmarks")
EXIT_WRONG, EXIT_INCOMPLETE = 1, 3

_EXAMPLES = f"""
examples:
  python -m tests.benchmarks.serving                                          everything: about half an hour
  python -m tests.benchmarks.serving --models mlp --in-flight 64 --repetitions 1
  python -m tests.benchmarks.serving --contestants triton-1 triton-2 grpc-aio

The table is printed; figures, plot, logs and the peers' environments are in {FOLDER}.
exit status: 0 all was measured, {EXIT_WRONG} some answers were wrong or errors, \
2 wrong usage, {EXIT_INCOMPLETE} some contestants could not be set up or failed.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What the user chose."""
    known = [contestant.name for contestant in table_of.CONTESTANTS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.serving",
        description="Measure Drivetrain's prediction service against its peers, with h2load.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="models to serve")
    parser.add_argument("--in-flight", nargs="+", type=count, default=[1, 16, 64], help="requests under way at a time")
    parser.add_argument("--contestants", nargs="+", choices=known, default=known, help="servers to measure")
    parser.add_argument(
        "--seconds", type=count, default=3, help="length of one run of the load, two a measurement (default: 3)"
    )
    parser.add_argument("--repetitions", type=count, default=3, help="measurements a cell (default: 3)")
    parser.add_argument(
        "--connections", type=count, default=1, help="connections that share the requests (default: 1, as one channel)"
    )
    return parser.parse_args(arguments)


class Benchmark:
    """One run, and what could not be measured in it."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console, self._plan = console, plan
        self.missing = Missing(console)
        self.measurements: list[Measurement] = []

    def run(self, models: Sequence[Model], contestants: Sequence[Contestant]) -> None:
        """Measure, and say so; the figures so far are kept when the run is cut short."""
        try:
            for each in measure(self._plan, models, contestants, FOLDER.absolute(), self.missing.tell):
                self.measurements.append(each)
                self._console.print(_progress(each, self._plan.repetitions), highlight=False, soft_wrap=True)
        finally:
            report.write_json(FOLDER / "serving.json", self._plan, self.measurements, self.missing.reasons)


def _progress(each: Measurement, repetitions: int) -> str:
    place = f"{each.repetition + 1}/{repetitions} {each.key.model:5} {each.key.in_flight:3} in flight"
    figures = f"{each.load.requests_per_second:10,.0f} req/s, p99 {each.load.p99_ms:8.2f} ms, {each.load.errors} errors"
    return f"{place} {each.key.contestant:18} {figures}"


def exit_status(cells: Sequence[Cell], failures: Sequence[str]) -> int:
    """What the shell learns."""
    if not all(cell.sound for cell in cells):
        return EXIT_WRONG
    return EXIT_INCOMPLETE if failures or not cells else 0


def main() -> None:
    """Run the benchmark that the command line asks for."""
    chosen, console = parse(sys.argv[1:]), Console()
    try:
        load.check_installed()
    except load.LoadError as error:
        sys.exit(f"error: {error}")
    warn_if_busy(console)
    FOLDER.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark(console, Plan(chosen.in_flight, chosen.seconds, chosen.repetitions, chosen.connections))
    everyone = {contestant.name: contestant for contestant in table_of.CONTESTANTS}
    contestants = benchmark.missing.set_up([everyone[name] for name in everyone if name in chosen.contestants], _set_up)
    with console.status("training the models"):
        models = [provide(name, FOLDER.absolute() / "home") for name in chosen.models]
    benchmark.run(models, contestants)
    cells = summarise(benchmark.measurements)
    _show(console, cells, {contestant.name: contestant.title for contestant in contestants})
    for failure in benchmark.missing.reasons:
        console.print(f"MISSING: {failure}", style="bold red", markup=False, highlight=False)
    sys.exit(exit_status(list(cells.values()), benchmark.missing.reasons))


def _set_up(contestant: Contestant) -> None:
    contestant.peer.set_up(FOLDER.absolute())


def _show(console: Console, cells: dict[Key, Cell], titles: dict[str, str]) -> None:
    if cells:
        plot.draw(FOLDER / "serving.png", cells, titles)
        report.write_markdown(FOLDER / "serving.md", cells, table_of.COLUMNS)
        print_table(report.table(cells, titles, table_of.REFERENCES))
        if verdicts := targets.verdicts(cells, table_of.REFERENCES):
            print_table(verdict_table(verdicts))
        files = ", ".join(str(FOLDER / f"serving.{kind}") for kind in ("json", "md", "png"))
        console.print(f"figures, table and plot: {files}", highlight=False)


if __name__ == "__main__":
    main()
