"""Whether requests leave spans behind: nothing does until OpenTelemetry's own variables name a collector.

Here are the hooks and those that do nothing. OpenTelemetry is imported by `services.prediction.spans` alone, and that
only where there is a collector.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import grpc

from services.prediction.calls import Call, Ran
from services.prediction.metrics import BatchTimes
from services.rpc.errors import InvalidSettingsError
from services.rpc.status import status_of

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

Metadata = Iterable[tuple[str, str | bytes]]
Hook = Callable[[Sequence[Call], BatchTimes], object]
"""Given each batch that was answered; never raises."""


@dataclass(frozen=True)
class Endpoint:
    """What requests ask for, as the semantic conventions name it."""

    name: str
    attributes: Mapping[str, str]
    status_key: str
    """The attribute that tells how a request ended."""
    good: str | int
    bad: Callable[[BaseException], str | int]


class Trace(Protocol):
    """One request's span, as its calls see it."""

    def ran(self, queued_s: float, ran: Ran) -> None:
        """A call of the request, in the queue since then, was answered by this run."""


class Tracing(Protocol):
    """What makes the spans of one server. Of its methods only `request` lets anything be raised: what is inside."""

    @property
    def interceptors(self) -> Sequence[grpc.aio.ServerInterceptor]:
        """What stands around the calls of grpcio."""

    def of_version(self, model: str, version: str) -> Hook:
        """The hook of a version's batcher."""

    def request(self, endpoint: Endpoint, metadata: Metadata) -> AbstractContextManager[None]:
        """What happens inside is one request, which fails with what is raised."""

    def answered(self, endpoint: Endpoint, metadata: Metadata, since_s: float, ran: Ran) -> None:
        """A request of one call was answered just now; `since_s` is of `time.monotonic()`."""

    def refused(self, endpoint: Endpoint, metadata: Metadata, since_s: float, error: BaseException) -> None:
        """A request was refused just now."""

    def close(self) -> None:
        """Send what is left; blocks for as long as the collector lets it."""


def untraced(batch: Sequence[Call], times: BatchTimes) -> None:
    """Nobody follows its requests."""


class Untraced:
    """The trace of a request that leaves no span."""

    def ran(self, queued_s: float, ran: Ran) -> None:
        """Nobody follows it."""


class NullTracing:
    """No spans."""

    interceptors: Sequence[grpc.aio.ServerInterceptor] = ()

    def of_version(self, model: str, version: str) -> Hook:  # noqa: ARG002
        """Nothing is followed."""
        return untraced

    def request(self, endpoint: Endpoint, metadata: Metadata) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing around it."""
        return nullcontext()

    def answered(self, endpoint: Endpoint, metadata: Metadata, since_s: float, ran: Ran) -> None:
        """Nothing to say."""

    def refused(self, endpoint: Endpoint, metadata: Metadata, since_s: float, error: BaseException) -> None:
        """Nothing to say."""

    def close(self) -> None:
        """Nothing is left."""


UNTRACED = Untraced()
current: ContextVar[Trace] = ContextVar("trace", default=UNTRACED)
"""Of the request that is being answered in the event loop."""


def rpc(method: str) -> Endpoint:
    """A method of gRPC, by its path."""
    name = method.removeprefix("/")
    attributes = {"rpc.system.name": "grpc", "rpc.method": name}
    return Endpoint(name, attributes, "rpc.response.status_code", "OK", _rpc_status)


def make_tracing(variables: Mapping[str, str]) -> Tracing:
    """As the OTEL_* variables among these say. Raises InvalidSettingsError."""
    endpoint = next((name for name in ENDPOINTS if variables.get(name)), None)
    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or variables.get("OTEL_TRACES_EXPORTER") == "none"
    if endpoint is None or off:
        return NullTracing()
    for name in PROTOCOLS:
        if variables.get(name, "grpc") != "grpc":
            raise InvalidSettingsError(name, "grpc", variables[name])
    try:
        from services.prediction.spans import exporting  # noqa: PLC0415 - only where there is a collector
    except ModuleNotFoundError as error:
        came = f"an installation without {error.name}: pip install 'drivetrain[otel]'"
        raise InvalidSettingsError(endpoint, "the packages of the extra otel", came) from error
    return exporting()


def _rpc_status(error: BaseException) -> str:
    if isinstance(error, Exception):
        return status_of(error).name
    return "CANCELLED"
