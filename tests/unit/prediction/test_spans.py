import logging
import time
from collections.abc import Iterator

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.prediction.calls import Call, Ran, split
from services.prediction.metrics import BatchTimes
from services.prediction.spans import SERVICE, Spans, exporting
from services.prediction.tracing import UNTRACED, current, rpc
from tests.unit.prediction.waiting import LANE, Waiting

METHOD = rpc("/package.Service/Method")
TIMES = BatchTimes(1.0, 2.0, 3.0)


class Told(Waiting):
    """Keeps the run that it is told of."""

    __slots__ = ("ran",)

    ran: Ran

    def trace(self, ran: Ran) -> None:
        self.ran = ran


class Broken(Waiting):
    """Cannot be told anything."""

    __slots__ = ()

    def trace(self, ran: Ran) -> None:
        raise KeyError(ran)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[Spans]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    made = Spans(provider)
    yield made
    made.close()


def call(kind: type[Waiting], num_rows: int = 2) -> Call:
    return kind([np.zeros((num_rows, 2), np.float32)], LANE, num_rows)


def test_each_call_of_a_batch_is_told_also_after_one_that_cannot_be(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told([], LANE, 2)
    with caplog.at_level(logging.ERROR):
        spans.of_version("digits", "3")([call(Waiting, 1), call(Broken, 4), told], TIMES)
    assert told.ran == Ran("digits", "3", 7, 1.0, 3.0)
    assert [record.message for record in caplog.records] == ["a span could not be made"]


def test_a_call_in_parts_is_told_once_from_its_first_run_to_its_last() -> None:
    told = Told([np.zeros((5, 2), np.float32)], LANE, 5)
    first, second, last = split(told, 2)
    first.trace(Ran("digits", "3", 2, 1.0, 2.0))
    second.trace(Ran("digits", "3", 2, 3.0, 4.0))
    assert not hasattr(told, "ran")
    last.trace(Ran("digits", "3", 1, 5.0, 6.0))
    assert told.ran == Ran("digits", "3", 1, 1.0, 6.0)


def test_a_run_may_be_told_after_the_request_has_ended(spans: Spans, exporter: InMemorySpanExporter) -> None:
    now_s = time.monotonic()
    with spans.request(METHOD, []):
        trace = current.get()
    assert current.get() is UNTRACED
    trace.ran(now_s, Ran("digits", "3", 1, now_s + 1, now_s + 2))
    server, queue, compute = exporter.get_finished_spans()
    assert [each.name for each in (server, queue, compute)] == [METHOD.name, "queue", "compute"]
    assert server.context is not None
    assert [parent_of(each) for each in (queue, compute)] == [server.context.span_id] * 2
    assert queue.end_time == compute.start_time == (queue.start_time or 0) + 10**9


def test_what_is_raised_is_raised_on_and_told_by_its_class_alone(spans: Spans, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(KeyError, match="secret"), spans.request(METHOD, []):
        raise KeyError("secret")
    [span] = exporter.get_finished_spans()
    assert dict(span.attributes or {}) == {
        **METHOD.attributes,
        "error.type": "KeyError",
        "rpc.response.status_code": "INTERNAL",
    }
    assert "secret" not in span.to_json()


def test_the_services_name_and_the_sampler_are_opentelemetrys_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    assert service_of(exporting()) == SERVICE
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-models")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    spans = exporting()
    assert service_of(spans) == "shop-models"
    with spans.request(METHOD, []):
        current.get().ran(0.0, Ran("digits", "3", 1, 1.0, 2.0))
    spans.close()  # nothing was sampled, so nothing is sent in vain: that would take seconds


def service_of(spans: Spans) -> object:
    return spans._provider.resource.attributes["service.name"]


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id
