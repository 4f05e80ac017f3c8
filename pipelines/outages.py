"""Which faults of MLflow pass by themselves, and how to outlast them."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from mlflow.exceptions import MlflowException

from pipelines.errors import RegistryOutageError

_log = logging.getLogger(__name__)

_PAUSE_S = 1.0

_PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED")
"""MLflow's codes for: no connection, an answer of 5xx, a database that is away, too many requests."""

Result = TypeVar("Result")


def is_outage(error: Exception) -> bool:
    """Whether the server, or the database or store behind it, is away, rather than refusing what was asked."""
    if isinstance(error, MlflowException):
        return error.error_code in _PASSING
    return isinstance(error, OSError | RegistryOutageError)


def outlast(patience_s: float, call: Callable[[], Result]) -> Result:
    """Call again until it goes well, is refused, or `patience_s` are over; the last error is raised as it is.

    A call may have been carried out although its answer was lost, so it must be one that can be repeated.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return call()
        except (MlflowException, OSError, RegistryOutageError) as error:
            if not is_outage(error) or time.monotonic() > deadline_s:
                raise
            _log.warning("MLflow is away (%s); trying again", error)
            time.sleep(_PAUSE_S)
