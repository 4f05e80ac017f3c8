"""Logs of a service: plain lines for people, or one JSON object a line where DRIVETRAIN_LOG_FORMAT is `json`.

Every record carries the ids of the request and of the job that it belongs to, where there are any.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_job_id: ContextVar[str] = ContextVar("job_id", default="")

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PLAIN_OF_ONE = "%(asctime)s %(levelname)s %(process_name)s %(name)s: %(message)s"
_QUIET = ("PIL", "alembic", "onnx_ir", "onnxscript")
"""Loggers that are only worth a warning: they tell of each migration, pass over a graph, part of a picture."""


def configure(process_name: str = "") -> None:
    """Send the process's log to standard error; by force, as a command line may have set up a terser one.

    A name is in each line: of one of several processes that write to the same place.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_add_ids)
    handler.setFormatter(_formatter(process_name))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def request_id() -> str:
    """Of the request that is being answered; empty outside."""
    return _request_id.get()


@contextmanager
def request_context(given: str) -> Iterator[None]:
    """What is logged inside belongs to this request."""
    with _bound(_request_id, given):
        yield


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """What is logged inside belongs to this job."""
    with _bound(_job_id, job_id):
        yield


@contextmanager
def _bound(variable: ContextVar[str], value: str) -> Iterator[None]:
    before = variable.get()
    variable.set(value)
    try:
        yield
    finally:
        variable.set(before)  # not by token: a stream that is closed from outside ends in another context


def _add_ids(record: logging.LogRecord) -> bool:
    for name, variable in (("request_id", _request_id), ("job_id", _job_id)):
        if value := variable.get():
            setattr(record, name, value)
    return True


def _formatter(process_name: str) -> logging.Formatter:
    named = {"process_name": process_name} if process_name else {}
    if os.environ.get("DRIVETRAIN_LOG_FORMAT") != "json":
        return logging.Formatter(_PLAIN_OF_ONE if named else _PLAIN, defaults=named)
    return JsonFormatter(
        ["message", "levelname", "name"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        static_fields=named,
    )
