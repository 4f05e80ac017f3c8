"""`python -m tests.benchmarks.footprint`: install what serving needs, and nothing else, and start it over and over."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.cli.tables import print_table
from tests.benchmarks.environments import environment, site_packages
from tests.benchmarks.footprint.starting import Start, await_health, cold_start, ended
from tests.benchmarks.serving.models import MODELS, Model, provide
from tests.benchmarks.verdicts import Verdict, verdict_table
from tests.integration.pipelines.ports import free_port

FOLDER = Path("build/benchmarks")
STARTS = 5
ALLOWED_START_S = 1.5
FORBIDDEN = ("torch", "ray")
_EXAMPLES = """\
The service is installed without extras into an environment of its own, as a server's image has it.
exit status: 0 all targets hold, 1 one was missed.
"""


def install(workplace: Path) -> Path:
    """The environment's Python, with the project as it is now and what it depends on."""
    requirements = workplace / "footprint.txt"
    project = Path.cwd()
    requirements.write_text(f"-c {project / 'constraints.txt'}\n{project}\n")
    python = environment(workplace / "footprint", requirements)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--force-reinstall", str(project)], check=True)  # the code may have changed since
    return python


def size_bytes(folder: Path) -> int:
    """Of all files beneath."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def starts(python: Path, models: Sequence[Model], workplace: Path, *, registry: bool) -> list[Start]:
    """Cold starts with every model in the cache, while the registry answers or while it is away."""
    cache, log = workplace / "footprint-cache", workplace / "logs" / "footprint.log"
    log.parent.mkdir(exist_ok=True)
    shutil.rmtree(cache, ignore_errors=True)
    address = f"http://127.0.0.1:{free_port()}"
    command = [str(python.parent / "drivetrain"), "serve", "--metrics-port", "0", "--rest-port", "0"]
    command += ["--cache-dir", str(cache)]
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    variables |= {"MLFLOW_TRACKING_URI": address, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with ended(_mlflow(models[0].home, address), variables, log):
        await_health(address)
        cold_start(command, variables, models, log)  # fills the cache
        if registry:
            return [cold_start(command, variables, models, log) for _ in range(STARTS)]
    return [cold_start(command, variables, models, log) for _ in range(STARTS)]


def _mlflow(home: Path, address: str) -> list[str]:
    store = f"sqlite:///{home / 'mlflow.db'}"
    port = address.rpartition(":")[2]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--port", port, "--workers", "1"]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.footprint",
        description="Measure cold starts, memory and size of Drivetrain's prediction service.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    console, workplace = Console(), FOLDER.absolute()
    workplace.mkdir(parents=True, exist_ok=True)
    with console.status("installing"):
        python = install(workplace)
    with console.status("training the models"):
        models = [provide(name, workplace / "home") for name in MODELS]
    with console.status("starting servers"):
        found = {title: starts(python, models, workplace, registry=up) for title, up in _CASES.items()}
    packages = site_packages(python)
    present = [name for name in FORBIDDEN if (packages / name).exists()]
    print_table(_table(found))
    console.print(f"installed: {size_bytes(packages) / 1e6:,.0f} MB", highlight=False)
    verdicts = [
        Verdict(f"first right answer, s, {title}", _median_s(each), ALLOWED_START_S, less_is_better=True)
        for title, each in found.items()
    ]
    verdicts.append(Verdict(f"of {', '.join(FORBIDDEN)} installed", len(present), 0, less_is_better=True))
    print_table(verdict_table(verdicts))
    sys.exit(0 if all(verdict.holds for verdict in verdicts) else 1)


_CASES = {"registry answers": True, "registry away": False}


def _median_s(found: Sequence[Start]) -> float:
    return statistics.median(start.first_answer_s for start in found)


def _table(found: dict[str, list[Start]]) -> Table:
    result = Table(title=f"cold starts with {len(MODELS)} cached models, medians of {STARTS}", box=None, pad_edge=False)
    result.add_column("")
    for header in ("first answer, s", "all three, s", "slowest, s", "memory, MiB"):
        result.add_column(header, justify="right")
    for title, each in found.items():
        every_s = statistics.median(start.all_answer_s for start in each)
        slowest_s = max(start.all_answer_s for start in each)
        memory = statistics.median(start.resident_bytes for start in each) / 2**20
        result.add_row(title, f"{_median_s(each):.2f}", f"{every_s:.2f}", f"{slowest_s:.2f}", f"{memory:.0f}")
    return result


if __name__ == "__main__":
    main()
