"""A conversation with the service as steps that somebody else carries out.

A flow is a generator that yields the next step, a call or a pause, and is sent the answer or thrown gRPC's error, until
it returns its result. Both clients run the same flows; only carrying out a step differs.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

T = TypeVar("T")

Method = Literal[
    "ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "RepositoryIndex"
]


@dataclass(frozen=True)
class Call:
    """Call this method of the service; its response, or gRPC's error, comes back."""

    method: Method
    request: Message
    timeout_s: float


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Done(Generic[T]):
    """The flow's result."""

    result: T


Flow: TypeAlias = Generator[Call | Pause, Any, T]


def advance(flow: Flow[T], outcome: object) -> Call | Pause | Done[T]:
    """The next step, after the last one had this outcome: a response, gRPC's error as a value, or None to begin.

    Raises the error that the flow makes of it.
    """
    try:
        return flow.throw(outcome) if isinstance(outcome, grpc.RpcError) else flow.send(outcome)
    except StopIteration as end:
        return Done(end.value)
