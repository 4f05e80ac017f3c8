"""What the clients of both services share: the address, the token, the channel, and errors in the user's words."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import grpc

from pipelines.errors import DrivetrainError
from services.cli.errors import AccessError, AwayError, InputError, ServiceError, TransientError
from services.rpc.channels import KEEPALIVE_OPTIONS, is_address, is_token, is_unreached

T = TypeVar("T")

TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = "DRIVETRAIN_TOKEN", "DRIVETRAIN_TOKEN_FILE"

CALL_TIMEOUT_S = 30.0

_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_receive_message_length", -1),
    *KEEPALIVE_OPTIONS,
    ("grpc.http2.max_pings_without_data", 0),  # a watch of a quiet job carries no data for minutes
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # gRPC's own two minutes outlast any restart
]
_RETRIES = {
    "maxAttempts": 4,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_INPUT_STATUSES = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
)
_TRANSIENT_STATUSES = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # by the other side: it is stopping
    grpc.StatusCode.ABORTED,  # another call is at it just now
)


@dataclass(frozen=True)
class Service:
    """One of the two services, as messages name it."""

    name: str
    full_name: str
    start: str
    """Commands that start one."""
    repeatable: tuple[str, ...] = ()
    """Methods that gRPC may try again by itself, as twice does no more than once."""


class Connection:
    """A channel to a service that carries the user's token with every call. InputError for a wrong address or token."""

    def __init__(self, service: Service, address: str) -> None:
        if not is_address(address):
            raise InputError(f"address of the {service.name} service: expected HOST:PORT, came {address!r}")
        self.service, self.address = service, address
        self.token, self.token_source = read_token()
        self.metadata = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        self.channel = grpc.insecure_channel(address, options=[*_OPTIONS, *_retry_options(service)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, method: Callable[..., T], request: object, timeout_s: float | None = CALL_TIMEOUT_S) -> T:
        """The answer of an RPC. Raises what `explain` makes of a status."""
        try:
            return method(request, timeout=timeout_s, metadata=self.metadata)
        except grpc.RpcError as error:
            raise self.explain(error) from error

    def explain(self, error: grpc.RpcError) -> DrivetrainError:
        """InputError where the request was wrong, TransientError where later may help, AccessError, or ServiceError."""
        status, details = error.code(), str(error.details())
        who, where = f"the {self.service.name} service", f"at {self.address}"
        if status in _INPUT_STATUSES:
            return InputError(f"{who} refused the request: {details}")
        if status is grpc.StatusCode.UNAVAILABLE and is_unreached(details):
            return AwayError(self.service.name, self.address, self.service.start)
        if status in _TRANSIENT_STATUSES:
            return TransientError(f"{who} {where} could not answer: {details} ({status.name})")
        if status is grpc.StatusCode.UNAUTHENTICATED:
            return AccessError(f"{who} {where} {self._about_token()}")
        if status is grpc.StatusCode.PERMISSION_DENIED:
            return AccessError(f"{who} {where} does not allow this with the token in {self.token_source}: {details}")
        if status is grpc.StatusCode.UNIMPLEMENTED:
            return ServiceError(f"what listens {where} is no {self.service.name} service, or one too old for this")
        return ServiceError(f"{who} answered {status.name}: {details}")

    def _about_token(self) -> str:
        if self.token:
            return f"does not know the token in {self.token_source}"
        return f"wants a token: put it into {TOKEN_VARIABLE}, or the path of its file into {TOKEN_FILE_VARIABLE}"


def read_token() -> tuple[str, str]:
    """The user's token and the variable it came from, DRIVETRAIN_TOKEN before DRIVETRAIN_TOKEN_FILE; empty if neither.

    Raises InputError for a file that cannot be read, and for what is not one word of printable ASCII.
    """
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        return _checked(token, TOKEN_VARIABLE), TOKEN_VARIABLE
    if not (path := os.environ.get(TOKEN_FILE_VARIABLE, "")):
        return "", ""
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{TOKEN_FILE_VARIABLE}: expected a readable file with a token, came {path!r}") from error
    return _checked(token, TOKEN_FILE_VARIABLE), TOKEN_FILE_VARIABLE


def _checked(token: str, source: str) -> str:
    if not is_token(token):  # never shown, wrong or not
        raise InputError(f"{source}: expected one token of printable ASCII characters without spaces")
    return token


def _retry_options(service: Service) -> Sequence[tuple[str, str]]:
    if not service.repeatable:
        return []
    names = [{"service": service.full_name, "method": method} for method in service.repeatable]
    return [("grpc.service_config", json.dumps({"methodConfig": [{"name": names, "retryPolicy": _RETRIES}]}))]
