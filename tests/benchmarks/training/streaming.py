"""A table of 2 GB trained from memory and streamed from disk: rows a second, and the memory that streaming takes.

    python -m tests.benchmarks.training.streaming [--workplace FOLDER] [--result FILE] [--gigabytes SIZE]

Each job is a process with a Ray of its own. Its memory is the sum of the proportional set sizes of the process and all
its descendants, looked at five times a second, so the object store counts as well. What the same job takes for a tiny
table (Python, torch, Ray) is subtracted.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet

from pipelines.pipeline import run_pipeline
from pipelines.spec_file import build_spec
from tests.integration.pipelines.jobs import Recorder

FEATURES = 100
BATCH = 512
ROWS_A_GROUP = 2**20  # what pyarrow writes by default
TINY_ROWS = 10_000
LEAST_SHARE = 0.5
MOST_BYTES = 2**30

_EXAMPLES = """
examples:
  python -m tests.benchmarks.training.streaming                   everything: about five minutes, and 4 GB of disk
  python -m tests.benchmarks.training.streaming --gigabytes 0.2

exit status: 0 all targets hold, 1 a target was missed or a job failed, 2 wrong usage.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What the user chose; `job` is what a process of the benchmark's own is to do."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.training.streaming",
        description="Measure training from disk beside training from memory.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder = Path("build/streaming")
    parser.add_argument("--workplace", type=Path, default=folder, help=f"for tables and runs (default: {folder})")
    parser.add_argument("--result", type=Path, help="the figures as JSON (default: streaming.json in the workplace)")
    parser.add_argument("--gigabytes", type=size, default=2.0, help="size of the table (default: 2)")
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def size(text: str) -> float:
    """For argparse: a size at which the table has as many rows as the tiny one or more."""
    least = 4 * FEATURES * TINY_ROWS / 1e9
    if not (given := float(text)) >= least:
        raise argparse.ArgumentTypeError(f"expected {least:g} or more, came {text}")
    return given


def write_table(path: Path, rows: int) -> None:
    """Normally distributed features; the target is a linear map of them and a little noise."""
    random = np.random.default_rng(0)
    weights = random.standard_normal(FEATURES, dtype=np.float32)
    names = [f"x{column}" for column in range(FEATURES)]
    schema = pa.schema([(name, pa.float32()) for name in (*names, "target")])
    with pa.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, rows, ROWS_A_GROUP):
            features = random.standard_normal((min(ROWS_A_GROUP, rows - start), FEATURES), dtype=np.float32)
            target = features @ weights + random.standard_normal(len(features), dtype=np.float32)
            writer.write_table(pa.table([*features.T, target], schema))


def train(path: str, memory: str, result: str) -> None:
    """One job of one epoch, in this process."""
    spec = build_spec(
        {
            "name": "wide",
            "data": {"source": "parquet", "path": path, "memory": memory},
            "model": {"family": "mlp", "hidden": [64, 32]},
            "loss": {"name": "mse"},
            "training": {"epochs": 1, "batch_size": BATCH},
        }
    )
    recorder = Recorder()
    outcome = run_pipeline(spec, recorder)
    (report,) = recorder.reports
    told = {"rows_per_second": report.rows_per_second, "r2": outcome.test.metrics["r2"], "seconds": outcome.seconds}
    Path(result).write_text(json.dumps(told))


def measured(workplace: Path, path: Path, memory: str) -> dict[str, float]:
    """The figures of a job in a process of its own, with the most memory that it had."""
    name = f"{path.stem}-{memory}"
    result = workplace / f"{name}.json"
    command = [sys.executable, "-m", "tests.benchmarks.training.streaming", "--job", str(path), memory, str(result)]
    most, job = 0, subprocess.Popen(command, env=os.environ | {"DRIVETRAIN_HOME": str(workplace / name)})
    while job.poll() is None:
        most = max(most, tree_bytes(job.pid))
        time.sleep(0.2)
    if job.returncode:
        raise SystemExit(f"the job {name} failed")
    told: dict[str, float] = json.loads(result.read_text())
    return told | {"peak_bytes": most}


def tree_bytes(pid: int) -> int:
    """Proportional set sizes of a process and its descendants."""
    total = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def measure(folder: Path, result: Path, gigabytes: float) -> None:
    """Write the tables, run the jobs one after another, and write what they came to; exits 1 if a target is missed."""
    folder.mkdir(parents=True, exist_ok=True)
    result.parent.mkdir(parents=True, exist_ok=True)
    rows = int(gigabytes * 1e9 / (4 * FEATURES))
    for name, count in (("large", rows), ("tiny", TINY_ROWS)):
        write_table(folder / f"{name}.parquet", count)
    tiny, streamed = (measured(folder, folder / f"{name}.parquet", "stream") for name in ("tiny", "large"))
    resident = measured(folder, folder / "large.parquet", "resident")
    share = streamed["rows_per_second"] / resident["rows_per_second"]
    added = streamed["peak_bytes"] - tiny["peak_bytes"]
    told = {"rows": rows, "tiny": tiny, "streamed": streamed, "resident": resident, "share": share, "added": added}
    result.write_text(json.dumps(told, indent=2))
    print(
        f"streamed at {share:.2f} of the resident speed (wanted: {LEAST_SHARE}), in {added / 2**20:.0f} MiB more than"
    )
    print(f"a tiny table (wanted: {MOST_BYTES / 2**20:.0f}); resident: {resident['peak_bytes'] / 2**20:.0f} MiB in all")
    sys.exit(share < LEAST_SHARE or added > MOST_BYTES)


def main() -> None:
    """Run what the command line asks for."""
    chosen = parse(sys.argv[1:])
    if chosen.job:
        train(*chosen.job)
        return
    folder = chosen.workplace.absolute()
    measure(folder, chosen.result or folder / "streaming.json", chosen.gigabytes)


if __name__ == "__main__":
    main()
