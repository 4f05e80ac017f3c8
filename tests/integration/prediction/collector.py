"""A collector of OpenTelemetry's protocol on a port of its own, and the servers that send to it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE_ID, CALLER_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-{CALLER_ID}-01")
UNSAMPLED = ("traceparent", f"00-{TRACE_ID}-{CALLER_ID}-00")


class Collector(service.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[messages.ExportTraceServiceRequest] = []

    def Export(  # noqa: N802 - the protocol's name
        self,
        request: messages.ExportTraceServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002
    ) -> messages.ExportTraceServiceResponse:
        self.requests.append(request)
        return messages.ExportTraceServiceResponse()

    @property
    def spans(self) -> list[Span]:
        """By their starts."""
        resources = [each for request in self.requests for each in request.resource_spans]
        spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
        return sorted(spans, key=lambda span: span.start_time_unix_nano)

    @property
    def servers(self) -> list[Span]:
        """The spans of requests."""
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def inside(self, parent: Span) -> list[Span]:
        """Its children."""
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


def attributes(values: "list[KeyValue] | Span") -> dict[str, str | int]:
    """Texts and integers by name."""
    listed = values.attributes if isinstance(values, Span) else values
    return {each.key: each.value.string_value or each.value.int_value for each in listed}


@contextmanager
def collecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Servers that are built inside send their spans here; all of them at the latest when they stop."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(collector, server)  # type: ignore[no-untyped-call]  # generated
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    try:
        yield collector
    finally:
        server.stop(0).wait(10)
