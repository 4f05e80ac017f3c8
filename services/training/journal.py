"""What an attempt at a job leaves on the shared disk: its journal, and the fence that ends older attempts.

Both outlive the Ray head, MLflow and the service. The driver of an attempt writes its journal, one JSON object a line;
the service raises the fence before it starts another attempt.
"""

import json
import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipelines.errors import SupersededError
from pipelines.home import home

_log = logging.getLogger(__name__)

_OURS = ("pipelines.", "services.")

if TYPE_CHECKING:
    from pipelines.pipeline import Outcome
    from pipelines.training.loop import EpochReport


def job_folder(run_id: str) -> Path:
    """Everything of a job that is neither data nor a checkpoint."""
    return home() / "jobs" / run_id


def attempt_path(run_id: str, attempt: int) -> Path:
    """The journal of an attempt."""
    return job_folder(run_id) / f"attempt-{attempt}.jsonl"


def write_fence(run_id: str, attempt: int) -> None:
    """From now on only this attempt, or a later one, may write to the run."""
    folder = job_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"fence-{os.getpid()}-{threading.get_ident()}.part"
    part.write_text(str(attempt))
    part.replace(folder / "fence")


def read_fence(run_id: str) -> int:
    """The first attempt that may write to the run; 0 if no fence was raised."""
    try:
        return int((job_folder(run_id) / "fence").read_text())
    except FileNotFoundError:
        return 0


def fence_of(run_id: str, attempt: int) -> Callable[[], None]:
    """What raises SupersededError as soon as a later attempt has been let in."""

    def check() -> None:
        let_in = read_fence(run_id)
        if attempt < let_in:
            raise SupersededError(f"attempt {attempt} at job {run_id} is over: attempt {let_in} has the run")

    return check


class Journal:
    """The journal of one attempt, open to be written. A watcher of the pipeline.

    A line is there for readers as soon as its method returns. Training goes on where the disk does not take it.
    Epochs up to `told` are left out: the journals of earlier attempts have them.
    """

    def __init__(self, path: Path, told: int = 0) -> None:
        self._told = told
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a")
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def opened(self, run_id: str) -> None:
        """The run is the job, whose journal this is."""

    def stage(self, text: str) -> None:
        """A new stage has begun."""
        self._write("stage", {"text": text})

    def epoch(self, report: "EpochReport") -> None:
        """An epoch is over."""
        if report.epoch > self._told:
            self._write("epoch", {"epoch": report.epoch, "metrics": _finite(report.metrics)})

    def warning(self, text: str) -> None:
        """Something about the job looks wrong: it is logged, and so comes to the journal."""
        _log.warning("%s", text)

    def outcome(self, outcome: "Outcome") -> None:
        """The job has come to this."""
        fields = {
            "version": outcome.version,
            "promoted": outcome.decision.promote,
            "reason": outcome.decision.reason,
            "best_epoch": outcome.best_epoch,
            "test": _finite(outcome.test.metrics),
            "seconds": outcome.seconds,
        }
        self._write("outcome", fields)

    def failure(self, reason: str) -> None:
        """The attempt has failed."""
        self._write("failure", {"reason": reason})

    def log(self, record: logging.LogRecord, text: str) -> None:
        """Something was logged."""
        self._write("log", {"level": record.levelname, "logger": record.name, "text": text})

    def _write(self, kind: str, fields: Mapping[str, object]) -> None:
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time, "kind": kind} | dict(fields), allow_nan=False)
        with self._lock:
            try:
                print(line, file=self._file, flush=True)
            except (OSError, ValueError) as error:  # ValueError: closed, while another thread still logs
                print(f"the journal took no line: {error}", file=sys.stderr)


class JournalHandler(logging.Handler):
    """Sends what is logged to a journal: our own information, and anybody's warnings."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.INFO)
        self.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith(_OURS))
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's text, with its traceback if it has one."""
        try:
            self._journal.log(record, self.format(record))
        except Exception:  # noqa: BLE001 - logging must not fail; this is its way to say so
            self.handleError(record)


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """JSON has no infinities."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
