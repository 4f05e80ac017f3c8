"""Spans of requests, sent to an OpenTelemetry collector: one a request, and in it one for queue and one for compute.

They are made when their times are known, in the thread that has just answered. Nothing of a request but its times, and
nothing of an error but its class, goes into them.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version as version_of
from typing import ParamSpec

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.prediction.calls import Call, Ran
from services.prediction.metrics import BatchTimes
from services.prediction.span_interceptor import SpanInterceptor
from services.prediction.tracing import Endpoint, Hook, Metadata, current

logger = logging.getLogger(__name__)

P = ParamSpec("P")

SERVICE = "drivetrain-prediction"
"""What the service is called unless OTEL_SERVICE_NAME says otherwise."""
_W3C = TraceContextTextMapPropagator()


class RequestSpan:
    """The span of one request; all its times come from one clock, so that those of its children lie inside."""

    def __init__(self, tracer: Tracer, endpoint: Endpoint, metadata: Metadata, since_s: float) -> None:
        self._tracer, self._endpoint = tracer, endpoint
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._span = tracer.start_span(
            endpoint.name, _parent(metadata), SpanKind.SERVER, endpoint.attributes, start_time=self._ns(since_s)
        )
        self._sampled = self._span.get_span_context().trace_flags.sampled

    def ran(self, queued_s: float, ran: Ran) -> None:
        """Two spans; the request's own may have ended before."""
        if not self._sampled:
            return
        attributes: dict[str, str | int] = {
            "drivetrain.model": ran.model,
            "drivetrain.version": ran.version,
            "drivetrain.batch_size": ran.batch_size,
        }
        inside = set_span_in_context(self._span)
        for name, start_s, end_s in (("queue", queued_s, ran.taken_s), ("compute", ran.taken_s, ran.ran_s)):
            span = self._tracer.start_span(name, inside, attributes=attributes, start_time=self._ns(start_s))
            span.end(self._ns(end_s))

    def succeed(self) -> None:
        """It was answered just now."""
        self._span.set_attribute(self._endpoint.status_key, self._endpoint.good)
        self._end()

    def fail(self, error: BaseException) -> None:
        """It was refused just now."""
        self._span.set_attribute(self._endpoint.status_key, self._endpoint.bad(error))
        self._span.set_attribute("error.type", type(error).__name__)
        self._span.set_status(StatusCode.ERROR)
        self._end()

    def _end(self) -> None:
        self._span.end(self._ns(time.monotonic()))

    def _ns(self, monotonic_s: float) -> int:
        return round(monotonic_s * 1e9) + self._offset_ns


class Spans:
    """Makes the spans of one server."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("drivetrain", version_of("drivetrain"))
        self.interceptors = (SpanInterceptor(self.request),)

    def of_version(self, model: str, version: str) -> Hook:
        """Tells each call of a batch about the run."""

        def traced(batch: Sequence[Call], times: BatchTimes) -> None:
            num_rows = sum(call.num_rows for call in batch)
            ran = Ran(model, version, num_rows, times.taken_s, times.ran_s)
            for call in batch:
                _quietly(call.trace, ran)

        return traced

    @contextmanager
    def request(self, endpoint: Endpoint, metadata: Metadata) -> Iterator[None]:
        """What happens inside is one request, which fails with what is raised."""
        span, before = RequestSpan(self._tracer, endpoint, metadata, time.monotonic()), current.get()
        current.set(span)
        try:
            yield
        except BaseException as error:
            span.fail(error)
            raise
        else:
            span.succeed()
        finally:
            current.set(before)  # not by token: a stream that is closed from outside ends in another context

    def answered(self, endpoint: Endpoint, metadata: Metadata, since_s: float, ran: Ran) -> None:
        """A request of one call was answered just now."""
        span = RequestSpan(self._tracer, endpoint, metadata, since_s)
        span.ran(since_s, ran)
        span.succeed()

    def refused(self, endpoint: Endpoint, metadata: Metadata, since_s: float, error: BaseException) -> None:
        """A request was refused just now."""
        _quietly(RequestSpan(self._tracer, endpoint, metadata, since_s).fail, error)

    def close(self) -> None:
        """Send what is left; blocks for as long as the collector lets it."""
        self._provider.shutdown()


def exporting() -> Spans:
    """Spans that go where OpenTelemetry's own variables say, sampled as they say, or else as the parent is."""
    resource = Resource.create({SERVICE_VERSION: version_of("drivetrain")})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):  # OpenTelemetry's word for none
        resource = resource.merge(Resource({SERVICE_NAME: SERVICE}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logger.info("spans of requests go to an OpenTelemetry collector")
    return Spans(provider)


def _parent(metadata: Metadata) -> Context:
    """The caller's span, by the W3C headers; nothing where there is none, or none that makes sense."""
    headers = {key: value for key, value in metadata if key in _W3C.fields and isinstance(value, str)}
    return _W3C.extract(headers, Context())


def _quietly(tell: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """A span that cannot be made costs no request."""
    try:
        tell(*args, **kwargs)
    except Exception:
        logger.exception("a span could not be made")
