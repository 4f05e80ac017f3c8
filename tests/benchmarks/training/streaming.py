"""A table of 2 GB trained from memory and streamed from disk: rows a second, and the memory that streaming takes.

    python -m tests.benchmarks.training.streaming WORKPLACE RESULT [GIGABYTES]

Each job is a process with a Ray of its own. Its memory is the sum of the proportional set sizes of the process and all
its descendants, looked at five times a second, so the object store counts as well. What the same job takes for a tiny
table (Python, torch, Ray) is subtracted.
"""

import json
import os
import subprocess
import sys
import time
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


def main(workplace: str, result: str, gigabytes: str = "2") -> None:
    """Write the tables, run the jobs one after another, and write what they came to; exits 1 if a target is missed."""
    folder = Path(workplace)
    folder.mkdir(parents=True, exist_ok=True)
    rows = int(float(gigabytes) * 1e9 / (4 * FEATURES))
    for name, count in (("large", rows), ("tiny", TINY_ROWS)):
        write_table(folder / f"{name}.parquet", count)
    tiny, streamed = (measured(folder, folder / f"{name}.parquet", "stream") for name in ("tiny", "large"))
    resident = measured(folder, folder / "large.parquet", "resident")
    share = streamed["rows_per_second"] / resident["rows_per_second"]
    added = streamed["peak_bytes"] - tiny["peak_bytes"]
    told = {"rows": rows, "tiny": tiny, "streamed": streamed, "resident": resident, "share": share, "added": added}
    Path(result).write_text(json.dumps(told, indent=2))
    print(
        f"streamed at {share:.2f} of the resident speed (wanted: {LEAST_SHARE}), in {added / 2**20:.0f} MiB more than"
    )
    print(f"a tiny table (wanted: {MOST_BYTES / 2**20:.0f}); resident: {resident['peak_bytes'] / 2**20:.0f} MiB in all")
    sys.exit(share < LEAST_SHARE or added > MOST_BYTES)


if __name__ == "__main__":
    train(*sys.argv[2:]) if sys.argv[1] == "--job" else main(*sys.argv[1:])
