"""A steady load on a served model, with a note of every request that failed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from pipelines.errors import DrivetrainError
from services.cli.prediction_client import prediction_client
from tests.e2e.compose.stack import address

PAUSE_S = 0.02


@dataclass
class Load:
    """What became of the requests so far."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def steady_load(model: str = "digits-cnn") -> Iterator[Load]:
    """Ask for predictions, one request after the other, while the block runs."""
    load, stop = Load(), threading.Event()
    rows = np.zeros((4, 1, 8, 8), np.float32)

    def ask() -> None:
        with prediction_client(address("prediction", 8001), timeout_s=5) as client:
            while not stop.wait(PAUSE_S):
                try:
                    client.predict(model, rows)
                    load.answered += 1
                except DrivetrainError as error:
                    load.failures.append(str(error))

    thread = threading.Thread(target=ask, name="load")
    thread.start()
    try:
        yield load
    finally:
        stop.set()
        thread.join(timeout=30)
