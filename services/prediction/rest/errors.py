"""What only HTTP needs: errors of its own, and the one table from errors to statuses, beside `services.rpc.status`.

CallError
├── InvalidRequestError
│   └── UnknownEncodingError  the body is compressed in a way that is not read
├── ExhaustedError
│   └── TooLargeError         a body, or an answer, is larger than the server's limit
└── DeadlineError
    └── SlowBodyError         the body did not arrive within the time
"""

import logging

from starlette.responses import JSONResponse

from services.rpc.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    ConflictError,
    DeadlineError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
    UnauthenticatedError,
    entry_of,
)
from services.rpc.status import MAX_TEXT_CHARS, internal_text

logger = logging.getLogger(__name__)


class UnknownEncodingError(InvalidRequestError):
    """The body's Content-Encoding is not one that is read."""


class TooLargeError(ExhaustedError):
    """`what` has more than `max_bytes`."""

    def __init__(self, what: str, max_bytes: int) -> None:
        super().__init__(what, max_bytes)
        self.what, self.max_bytes = what, max_bytes

    def __str__(self) -> str:
        return f"{self.what}: expected at most {self.max_bytes} bytes, came more"


class SlowBodyError(DeadlineError):
    """The body was not there after `within_s` seconds."""

    def __init__(self, within_s: float) -> None:
        super().__init__(within_s)
        self.within_s = within_s

    def __str__(self) -> str:
        return f"the request's body did not arrive within {self.within_s:g} s"


STATUSES: dict[type[BaseException], int] = {
    InvalidRequestError: 400,
    UnknownEncodingError: 415,
    NotFoundError: 404,
    AlreadyExistsError: 409,
    PreconditionError: 412,
    ConflictError: 409,
    ExhaustedError: 429,
    TooLargeError: 413,
    DeadlineError: 504,
    SlowBodyError: 408,
    NotReadyError: 503,
    UnauthenticatedError: 401,
    AccessDeniedError: 403,
    Exception: 500,
}


def status_of(error: Exception) -> int:
    """The status of the nearest class in the error's MRO."""
    return entry_of(STATUSES, error)


def refusal(error: Exception, request_id: str, path: str) -> JSONResponse:
    """The answer in the protocol's form. Of a bug the client learns only the id under which the log has more."""
    status = status_of(error)
    text = internal_text(error, request_id) if status == 500 else str(error)[:MAX_TEXT_CHARS]
    if not isinstance(error, ExhaustedError):  # as with the native transport
        logger.info("%s: %d: %s", path, status, text)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": text}, status, headers)
