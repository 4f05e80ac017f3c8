"""The training benchmark's command: choose, set up, measure, report."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from services.cli.tables import print_table
from tests.benchmarks.contest import Missing, count
from tests.benchmarks.machine import warn_if_busy
from tests.benchmarks.training import plot, report, targets
from tests.benchmarks.training.contestants import CONTESTANTS, Contestant, RunError
from tests.benchmarks.training.figures import Measurement, read_scaling, read_starts, summarise
from tests.benchmarks.training.work import WORKS, job_of, prepare
from tests.benchmarks.verdicts import Verdict, verdict_table

FOLDER = Path("build/benchmarks")
ON_RAY = ("starting", "scaling")
EXIT_MISSED, EXIT_INCOMPLETE = 1, 3
_ON_RAY_DEADLINE_S = 1200.0

_EXAMPLES = f"""
examples:
  python -m tests.benchmarks.training                                        everything: about a quarter of an hour
  python -m tests.benchmarks.training --works mlp --on-ray none --repetitions 1
  python -m tests.benchmarks.training --contestants drivetrain plain --on-ray starting

The tables are printed; figures, plot, logs and the peers' environments are in {FOLDER}.
exit status: 0 all was measured and all targets hold, {EXIT_MISSED} a target was missed, \
2 wrong usage, {EXIT_INCOMPLETE} something could not be set up or failed.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What the user chose."""
    known = [contestant.name for contestant in CONTESTANTS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training",
        description="Measure Drivetrain's training against its peers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), help="what to train")
    parser.add_argument("--contestants", nargs="+", choices=known, default=known, help="loops to measure")
    parser.add_argument(
        "--on-ray", nargs="+", choices=(*ON_RAY, "none"), default=list(ON_RAY), help="what to measure on a local Ray"
    )
    parser.add_argument("--repetitions", type=count, default=3, help="measurements of each (default: 3)")
    return parser.parse_args(arguments)


class Benchmark:
    """One run, and what could not be measured in it."""

    def __init__(self, console: Console, workplace: Path, repetitions: int) -> None:
        self._console, self._workplace, self._repetitions = console, workplace, repetitions
        self.missing = Missing(console)
        self.measurements: list[Measurement] = []
        self.on_ray: dict[str, Any] = {}

    def run(self, works: Sequence[str], contestants: Sequence[Contestant]) -> None:
        """Repetition by repetition, work by work, the contestants take turns (A B C A B C)."""
        turns = [(work, each) for work in works for each in contestants if work in each.works]
        for work, contestant in turns:
            prepare(job_of(work, self._workplace, contestant.settings), self._folder(work, contestant))
        for repetition in range(self._repetitions):
            for work, contestant in turns:
                folder = self._folder(work, contestant)
                try:
                    measured = contestant.run(work, folder, self._workplace, repetition)
                except RunError as error:
                    self.missing.tell(f"{contestant.name} with {work}: {error}")
                    continue
                self.measurements.append(measured)
                self._console.print(_progress(measured, self._repetitions), highlight=False, soft_wrap=True)

    def run_on_ray(self, names: Sequence[str]) -> None:
        """What needs a Ray, each in a process with one of its own."""
        for name in names:
            self._console.print(f"measuring on a local Ray: {name}", highlight=False)
            result = self._workplace / f"training-{name}.json"
            command = [sys.executable, "-m", f"tests.benchmarks.training.{name}", str(self._workplace), str(result)]
            try:
                subprocess.run([*command, str(self._repetitions)], check=True, timeout=_ON_RAY_DEADLINE_S)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                self.missing.tell(f"{name}: {error}")
            else:
                self.on_ray[name] = json.loads(result.read_text())

    def _folder(self, work: str, contestant: Contestant) -> Path:
        return self._workplace / "training-works" / f"{work}-{contestant.name}"


def _progress(each: Measurement, repetitions: int) -> str:
    place = f"{each.repetition + 1}/{repetitions} {each.key.work:5} {each.key.contestant:20}"
    return f"{place} {each.ms_a_step:8.3f} ms a step, loss {each.loss:.4f}"


def exit_status(verdicts: Sequence[Verdict], failures: Sequence[str]) -> int:
    """What the shell learns."""
    if failures or not verdicts:
        return EXIT_INCOMPLETE
    return 0 if all(verdict.holds for verdict in verdicts) else EXIT_MISSED


def main() -> None:
    """Run the benchmark that the command line asks for."""
    chosen, console = parse(sys.argv[1:]), Console()
    warn_if_busy(console)
    FOLDER.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark(console, FOLDER.absolute(), chosen.repetitions)
    contestants = benchmark.missing.set_up([each for each in CONTESTANTS if each.name in chosen.contestants], _set_up)
    try:
        benchmark.run(chosen.works, contestants)
        benchmark.run_on_ray([name for name in ON_RAY if name in chosen.on_ray])
    finally:  # also when the run is cut short
        report.write_json(FOLDER / "training.json", benchmark.measurements, benchmark.on_ray, benchmark.missing.reasons)
    verdicts = _show(console, benchmark, {each.name: each.title for each in contestants})
    sys.exit(exit_status(verdicts, benchmark.missing.reasons))


def _set_up(contestant: Contestant) -> None:
    contestant.set_up(FOLDER.absolute())


def _show(console: Console, benchmark: Benchmark, titles: dict[str, str]) -> list[Verdict]:
    cells = summarise(benchmark.measurements)
    verdicts = targets.verdicts(cells)
    if cells:
        plot.draw(FOLDER / "training.png", cells, titles)
        report.write_markdown(FOLDER / "training.md", cells, titles)
        print_table(report.table(cells, titles))
    told = benchmark.on_ray
    starts = read_starts(told["starting"]) if "starting" in told else None
    scaling = read_scaling(told["scaling"]) if "scaling" in told else None
    for line in report.on_ray(starts, scaling):
        console.print(line, highlight=False, soft_wrap=True)
    verdicts += [targets.start_verdict(starts)] if starts else []
    verdicts += [targets.scaling_verdict(scaling)] if scaling else []
    if verdicts:
        print_table(verdict_table(verdicts))
    for failure in benchmark.missing.reasons:
        console.print(f"MISSING: {failure}", style="bold red", markup=False, highlight=False)
    return verdicts


if __name__ == "__main__":
    main()
