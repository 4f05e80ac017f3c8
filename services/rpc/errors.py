"""What a service raises on purpose, whichever service it is.

    DrivetrainError
    ├── CallError                     a call cannot be answered as asked
    │   ├── InvalidRequestError       the request is wrong: names what was expected and what came
    │   ├── NotFoundError             there is nothing of that name
    │   ├── AlreadyExistsError        the name is taken by something else
    │   ├── PreconditionError         the thing exists, but its state does not allow this
    │   ├── ConflictError             another call is at it just now
    │   ├── ExhaustedError            a limit is reached
    │   │   └── MessageTooLargeError  in gRPC's own words
    │   ├── DeadlineError             the deadline passed
    │   ├── NotReadyError             trying again later may help
    │   │   └── StoppingError         the server takes no more requests
    │   ├── AccessError
    │   │   ├── UnauthenticatedError  no token or certificate, or an unknown one
    │   │   └── AccessDeniedError     the caller lacks the right
    │   └── FaultError                something broke: for the log only
    └── SetupError                    the server cannot start
        ├── InvalidSettingsError      what the user configured is wrong
        └── PortTakenError            something else listens there

They know nothing of transports; `status.py` says which gRPC status each becomes. A service's own errors derive from
these.
"""

from collections.abc import Mapping
from typing import TypeVar

from pipelines.errors import DrivetrainError

T = TypeVar("T")


def entry_of(table: Mapping[type[BaseException], T], error: BaseException) -> T:
    """What the table has for the nearest class in the error's MRO; it ends with a class that all have."""
    return next(table[cls] for cls in type(error).__mro__ if cls in table)


class CallError(DrivetrainError):
    """A call cannot be answered as asked."""


class InvalidRequestError(CallError):
    """The request is wrong; `field` is the part of it, such as `inputs[features].shape`."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class NotFoundError(CallError):
    """There is nothing of that name."""


class AlreadyExistsError(CallError):
    """The name is taken by something else."""


class PreconditionError(CallError):
    """The thing exists, but its state does not allow this."""


class ConflictError(CallError):
    """Another call is at it just now."""


class ExhaustedError(CallError):
    """A limit is reached."""


class MessageTooLargeError(ExhaustedError):
    """A message exceeds the limit; told as gRPC itself tells it."""

    def __init__(self, action: str, size_bytes: int, max_bytes: int) -> None:
        super().__init__(action, size_bytes, max_bytes)
        self.action, self.size_bytes, self.max_bytes = action, size_bytes, max_bytes

    def __str__(self) -> str:
        return f"SERVER: {self.action} message larger than max ({self.size_bytes} vs. {self.max_bytes})"


class DeadlineError(CallError):
    """The deadline passed."""


class NotReadyError(CallError):
    """What was asked for exists but cannot answer now; trying again later may help."""


class StoppingError(NotReadyError):
    """The server finishes what it has and takes nothing new."""

    def __str__(self) -> str:
        return "the server is stopping"


class AccessError(CallError):
    """The caller may not do this."""


class UnauthenticatedError(AccessError):
    """The request carries no token that the server knows, and no client certificate that it gives a right."""

    def __str__(self) -> str:
        return (
            "expected the metadata 'authorization: Bearer <token>' with a token that this server knows, "
            "or a client certificate that it gives a right"
        )


class AccessDeniedError(AccessError):
    """The caller is known, but may not do this."""

    def __init__(self, right: str) -> None:
        super().__init__(right)
        self.right = right

    def __str__(self) -> str:
        return f"this call needs the right {self.right!r}"


class FaultError(CallError):
    """Something broke that the caller can do nothing about."""


class SetupError(DrivetrainError):
    """The server cannot start."""


class InvalidSettingsError(SetupError):
    """A setting is wrong; `field` is its name, or a place in the tokens file."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class PortTakenError(SetupError):
    """The address cannot be listened on."""

    def __init__(self, purpose: str, address: str) -> None:
        super().__init__(purpose, address)
        self.purpose, self.address = purpose, address

    def __str__(self) -> str:
        return f"cannot listen on {self.address} for {self.purpose}: is something else running there?"
