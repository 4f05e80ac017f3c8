"""The one place where gRPC's errors become the client's."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from services.prediction.client.errors import (
    ClientError,
    DeadlineError,
    ExhaustedError,
    PermissionDeniedError,
    RefusedError,
    ServerFaultError,
    UnauthenticatedError,
    UnavailableError,
    UnknownModelError,
    UnreachableError,
    UnsupportedError,
)
from services.rpc.channels import is_unreached


@dataclass(frozen=True)
class Question:
    """What was asked when an error came: the fields that the errors carry."""

    address: str
    timeout_s: float
    model: str = ""
    version: str = ""


def is_retryable(error: grpc.RpcError) -> bool:
    """UNAVAILABLE; and CANCELLED by the other side, as grpcio's server ends what reaches it while it closes.

    A prediction changes nothing, so asking twice does no more than asking once.
    """
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def translate(error: grpc.RpcError, question: Question, num_attempts: int) -> ClientError:
    """The client's error for a status; what no table has is a fault of the service."""
    make = _ERRORS.get(error.code(), _fault)
    return make(str(error.details() or error.code().name), question, num_attempts)


def _unavailable(details: str, question: Question, num_attempts: int) -> ClientError:
    kind = UnreachableError if is_unreached(details) else UnavailableError
    return kind(question.address, details, num_attempts)


def _interrupted(details: str, question: Question, num_attempts: int) -> ClientError:
    return UnavailableError(question.address, details, num_attempts)


def _fault(details: str, _question: Question, _num_attempts: int) -> ClientError:
    return ServerFaultError(details)


_ERRORS: dict[grpc.StatusCode, Callable[[str, Question, int], ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: lambda details, *_: RefusedError(details),
    grpc.StatusCode.OUT_OF_RANGE: lambda details, *_: RefusedError(details),
    grpc.StatusCode.FAILED_PRECONDITION: lambda details, *_: RefusedError(details),
    grpc.StatusCode.NOT_FOUND: lambda details, question, _: UnknownModelError(
        question.model, question.version, details
    ),
    grpc.StatusCode.UNAVAILABLE: _unavailable,
    grpc.StatusCode.CANCELLED: _interrupted,
    grpc.StatusCode.ABORTED: _interrupted,
    grpc.StatusCode.DEADLINE_EXCEEDED: lambda details, question, _: DeadlineError(question.timeout_s, details),
    grpc.StatusCode.RESOURCE_EXHAUSTED: lambda details, *_: ExhaustedError(details),
    grpc.StatusCode.UNAUTHENTICATED: lambda details, *_: UnauthenticatedError(details),
    grpc.StatusCode.PERMISSION_DENIED: lambda details, *_: PermissionDeniedError(details),
    grpc.StatusCode.UNIMPLEMENTED: lambda details, *_: UnsupportedError(details),
}
