"""MLflow's client of a database that this process writes itself, whose calls no interrupt tears.

An interrupt within a call leaves its transaction open for as long as somebody holds the traceback, the database locked
until then, and the run it was to close RUNNING. Python also loses one that falls into the clearing away of a call's
records, as exceptions in such callbacks are only printed.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from mlflow import MlflowClient


class EmbeddedClient(MlflowClient):
    """A client whose calls are carried out to their end, after which an interrupt that came meanwhile is raised."""

    def __init__(self, uri: str) -> None:
        with interrupts_wait():  # it may have to make the database
            super().__init__(tracking_uri=uri, registry_uri=uri)

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        attribute = super().__getattribute__(name)
        if name.startswith("_") or not callable(attribute):
            return attribute
        return partial(_to_its_end, attribute)


def _to_its_end(call: Callable[..., object], *arguments: object, **named: object) -> object:
    with interrupts_wait():
        return call(*arguments, **named)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Whatever signal would raise KeyboardInterrupt in the block raises it at its end, a second one at once.

    Other handlers stay as they are. Only the main thread is ever interrupted; in others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        if came:
            signal.default_int_handler(number, frame)
        came.append(number)

    held = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is signal.default_int_handler]
    for each in held:
        signal.signal(each, keep)
    try:
        yield
    finally:
        for each in held:
            signal.signal(each, signal.default_int_handler)
        if came:
            signal.raise_signal(came[0])
