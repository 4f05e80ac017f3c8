"""What both clients raise.

    DrivetrainError
    └── ClientError
        ├── SettingsError               the client cannot be made: wrong address, token, limit or TLS file
        ├── RequestError                the request is wrong, and would be as wrong later
        │   ├── InvalidDataError        found here, before anything was sent: names the input, expected and came
        │   ├── RefusedError            found by the service
        │   ├── UnknownModelError       no such model, or no such version of it
        │   └── MissingOutputError      the prediction has no such output
        ├── UnavailableError            the service or the model could not answer: away, starting, stopping
        │   └── UnreachableError        nobody listens at the address
        ├── DeadlineError               no answer within the time
        ├── ExhaustedError              a limit is reached: a full queue, a message that is too large
        ├── AccessError
        │   ├── UnauthenticatedError    no token, or an unknown one
        │   └── PermissionDeniedError   the token lacks the right
        ├── ClosedError                 this client was closed
        ├── UnsupportedError            what listens there does not know the call
        └── ServerFaultError            something broke in the service
            └── MalformedAnswerError    its answer is no valid Open Inference message

They know nothing of gRPC; `status.py` says which status each comes from.
"""

from collections.abc import Iterable

from pipelines.errors import DrivetrainError


class ClientError(DrivetrainError):
    """Root of what the clients raise; where the service refused or failed, `__cause__` is gRPC's own error."""


class _MismatchError(ClientError):
    """`field` is the part that is wrong, such as `inputs[features].shape`."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class _ReasonError(ClientError):
    """`reason` is what the other side said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class SettingsError(_MismatchError):
    """An argument of the client is wrong."""


class RequestError(ClientError):
    """The request is wrong, and would be as wrong later."""


class InvalidDataError(_MismatchError, RequestError):
    """What was given does not fit the model; nothing was sent."""


class RefusedError(_ReasonError, RequestError):
    """The service refused the request."""


class UnknownModelError(RequestError):
    """The service knows no such model, or serves no such version of it."""

    def __init__(self, model: str, version: str, reason: str) -> None:
        super().__init__(model, version, reason)
        self.model, self.version, self.reason = model, version, reason

    def __str__(self) -> str:
        return self.reason


class MissingOutputError(RequestError):
    """The prediction has no such output, because the model has none or it was not asked for."""

    def __init__(self, output: str, came: Iterable[str]) -> None:
        super().__init__(output, tuple(came))
        self.output, self.came = output, tuple(came)

    def __str__(self) -> str:
        return f"expected the output {self.output!r}, came {', '.join(map(repr, self.came)) or 'none'}"


class UnavailableError(ClientError):
    """The service at `address` could not answer, `num_attempts` times; later may help."""

    def __init__(self, address: str, reason: str, num_attempts: int = 1) -> None:
        super().__init__(address, reason, num_attempts)
        self.address, self.reason, self.num_attempts = address, reason, num_attempts

    def __str__(self) -> str:
        tries = "" if self.num_attempts == 1 else f" ({self.num_attempts} attempts)"
        return f"the prediction service at {self.address} could not answer: {self.reason}{tries}"


class UnreachableError(UnavailableError):
    """Nobody listens at `address`."""


class DeadlineError(ClientError):
    """No answer within `timeout_s` seconds."""

    def __init__(self, timeout_s: float, reason: str) -> None:
        super().__init__(timeout_s, reason)
        self.timeout_s, self.reason = timeout_s, reason

    def __str__(self) -> str:
        return f"no answer within {self.timeout_s:g} s: {self.reason}"


class ExhaustedError(_ReasonError):
    """A limit is reached: a full queue, or a message that is too large."""


class AccessError(_ReasonError):
    """The token may not do this."""


class UnauthenticatedError(AccessError):
    """There is no token, or the service does not know it."""


class PermissionDeniedError(AccessError):
    """The token is good, but not for this."""


class ClosedError(ClientError):
    """The client was closed, before the call or while it went on."""

    def __str__(self) -> str:
        return "the client is closed"


class UnsupportedError(_ReasonError):
    """What listens there is no Open Inference service, or one without this call."""


class ServerFaultError(_ReasonError):
    """Something broke in the service; its log has more."""


class MalformedAnswerError(ServerFaultError):
    """The answer is no valid Open Inference message."""
