"""Interrupts at any moment while a run is being written: it always ends KILLED."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
from mlflow import MlflowClient

from pipelines.tracking import open_run
from tests.integration.pipelines.jobs import Home

TIMES = 20


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """A block in which SIGTERM comes, and raises KeyboardInterrupt."""
    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    timer = threading.Timer(seconds, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.join()
        signal.signal(signal.SIGTERM, usual)


def _write_until_interrupted(client: MlflowClient, after_s: float) -> None:
    with interrupted_after(after_s), open_run(client, "interrupted") as run:
        for step in count():
            run.log_metrics({f"metric_{number}": float(step) for number in range(14)}, step)


def test_a_run_is_closed_whenever_the_interrupt_comes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.tracking._FLUSH_EVERY_S", 0)  # always within a call, or close to one
    client, random = home.client, np.random.default_rng(0)
    for _ in range(TIMES):
        with pytest.raises(KeyboardInterrupt):
            _write_until_interrupted(client, random.uniform(0.05, 0.25))
    assert {run.info.status for run in home.runs("interrupted")} == {"KILLED"}
