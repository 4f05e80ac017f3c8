"""Spans of requests, as a real collector receives them over a real socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import numpy as np
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.collector import (
    CALLER_ID,
    TRACE_ID,
    TRACEPARENT,
    UNSAMPLED,
    Collector,
    attributes,
    collecting,
)
from tests.integration.prediction.http import INFER, features, post
from tests.integration.prediction.serving import ROW, raw_request, serving
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_datatypes import promote_identity
from tests.unit.prediction.graphs import FATAL, SLOW
from tests.waiting import eventually_async

METHOD = "inference.GRPCInferenceService/ModelInfer"
MARKER = "m4rk3r"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting(monkeypatch) as started:
        yield started


def check_children(collector: Collector, server: Span, batch_size: int = 1) -> None:
    """The span has one for the queue and then one for the run, and both lie inside."""
    queue, compute = collector.inside(server)
    assert (queue.name, compute.name) == ("queue", "compute")
    assert queue.trace_id == compute.trace_id == server.trace_id
    times = [
        server.start_time_unix_nano,
        queue.start_time_unix_nano,
        queue.end_time_unix_nano,
        compute.start_time_unix_nano,
        compute.end_time_unix_nano,
        server.end_time_unix_nano,
    ]
    assert times == sorted(times)
    assert queue.end_time_unix_nano == compute.start_time_unix_nano
    expected = {"drivetrain.model": "digits", "drivetrain.version": "1", "drivetrain.batch_size": batch_size}
    assert attributes(queue) == attributes(compute) == expected


@pytest.mark.usefixtures("each_transport")
async def test_a_request_goes_on_with_its_callers_trace(store: Store, collector: Collector) -> None:
    store.promote("digits")
    before_ns = time.time_ns()
    async with serving(store.registry) as it:
        await it.stub.ModelInfer(raw_request("digits", np.repeat(ROW, 3, axis=0)), metadata=[TRACEPARENT])
    [server] = collector.servers
    assert server.name == METHOD
    assert (server.trace_id.hex(), server.parent_span_id.hex()) == (TRACE_ID, CALLER_ID)
    assert attributes(server) == {
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.response.status_code": "OK",
    }
    assert before_ns <= server.start_time_unix_nano + 1e6
    assert server.end_time_unix_nano <= time.time_ns() + 1e6  # two clocks, read one after the other
    check_children(collector, server, batch_size=3)
    [resource] = {each.resource.SerializeToString(): each for each in collector.requests[0].resource_spans}.values()
    assert attributes(list(resource.resource.attributes))["service.name"] == "drivetrain-prediction"


@pytest.mark.usefixtures("each_transport")
async def test_each_request_has_a_trace_of_its_own_unless_the_caller_has_one(
    store: Store, collector: Collector
) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        nonsense = [[], [("traceparent", "nonsense")], [("traceparent", f"00-{'0' * 32}-{CALLER_ID}-01")]]
        for metadata in nonsense:
            await it.stub.ModelInfer(raw_request("digits"), metadata=metadata)
        await it.stub.ModelInfer(raw_request("digits"), metadata=[UNSAMPLED])
    assert len(collector.spans) == 9
    assert not any(server.parent_span_id for server in collector.servers)
    assert len({server.trace_id for server in collector.servers}) == 3
    for server in collector.servers:
        check_children(collector, server)


@pytest.mark.usefixtures("each_transport")
async def test_a_request_in_parts_is_in_one_queue_and_one_run(store: Store, collector: Collector) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=4) as it:
        await it.stub.ModelInfer(raw_request("digits", np.repeat(ROW, 10, axis=0)))
    [server] = collector.servers
    check_children(collector, server, batch_size=2)  # of the last


@pytest.mark.usefixtures("each_transport")
async def test_requests_that_share_a_run_have_spans_each(store: Store, collector: Collector) -> None:
    store.promote("digits")
    slow = raw_request("digits", np.array([[SLOW / 4, 0, 0]], np.float32))
    async with serving(store.registry) as it:
        await asyncio.gather(*(it.stub.ModelInfer(each) for each in [slow, *[raw_request("digits")] * 9]))
    assert len(collector.servers) == 10
    sizes = [attributes(each)["drivetrain.batch_size"] for each in collector.spans if each.name == "compute"]
    assert len(sizes) == 10
    assert max(int(size) for size in sizes) > 1
    for server in collector.servers:
        assert [each.name for each in collector.inside(server)] == ["queue", "compute"]


@pytest.mark.usefixtures("each_transport")
async def test_a_refused_request_has_a_span_that_says_so(store: Store, collector: Collector) -> None:
    store.promote("digits")
    invalid = raw_request("digits")
    invalid.raw_input_contents[0] = MARKER.encode()
    fatal = raw_request("digits", np.array([[FATAL, 0, 0]], np.float32))
    async with serving(store.registry) as it:
        for request in (raw_request("other"), invalid, fatal):
            with pytest.raises(grpc.aio.AioRpcError):
                await it.stub.ModelInfer(request, metadata=[TRACEPARENT])
    keys = ("rpc.response.status_code", "error.type")
    assert [tuple(attributes(each)[key] for key in keys) for each in collector.spans] == [
        ("NOT_FOUND", "UnknownModelError"),
        ("INVALID_ARGUMENT", "InvalidRequestError"),
        ("INTERNAL", "InferenceFailedError"),
    ]
    for server in collector.spans:
        assert (server.name, server.parent_span_id.hex()) == (METHOD, CALLER_ID)
        assert server.status == Status(code=Status.STATUS_CODE_ERROR)  # its text could tell of values


@pytest.mark.usefixtures("each_transport")
async def test_who_leaves_or_may_not_come_has_one_span(
    store: Store, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store.promote("digits")
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text("infer secret\n")
    known = [("authorization", "Bearer secret")]
    slow = raw_request("digits", np.array([[SLOW / 2, 0, 0]], np.float32))
    async with serving(store.registry, tokens_file=tokens) as it:
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(slow)
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(slow, metadata=known, timeout=0.1)

        async def idle() -> bool:
            return not it.server.plane.busy

        await eventually_async(idle)
    states = sorted(str(attributes(each)["rpc.response.status_code"]) for each in collector.servers)
    assert states == ["CANCELLED", "UNAUTHENTICATED"]


async def test_a_stream_is_one_request_with_the_runs_of_all_its_messages(store: Store, collector: Collector) -> None:
    store.promote("digits")

    async def requests() -> AsyncIterator[pb.ModelInferRequest]:
        for _ in range(3):
            yield raw_request("digits")

    async with serving(store.registry) as it:
        answers = [each async for each in it.stub.ModelStreamInfer(requests(), metadata=[TRACEPARENT])]
    assert len(answers) == 3
    [server] = collector.servers
    assert server.name == "inference.GRPCInferenceService/ModelStreamInfer"
    assert server.parent_span_id.hex() == CALLER_ID
    assert sorted(each.name for each in collector.inside(server)) == ["compute"] * 3 + ["queue"] * 3


async def test_rest_is_traced_by_its_route(store: Store, collector: Collector) -> None:
    store.promote("digits")
    async with serving(store.registry, rest=True, rest_port=0) as it:
        assert (await post(it, INFER, features(), traceparent=TRACEPARENT[1])).status == 200
        assert (await post(it, "/v2/models/other/infer", features())).status == 404
        assert (await post(it, "/v2/repository/index", {})).status == 200
    served, refused = collector.servers
    assert served.name == refused.name == "POST /v2/models/{name}/infer"
    assert served.parent_span_id.hex() == CALLER_ID
    assert attributes(served)["http.response.status_code"] == 200
    check_children(collector, served)
    assert attributes(refused)["http.response.status_code"] == 404
    assert refused.status.code == Status.STATUS_CODE_ERROR


@pytest.mark.usefixtures("each_transport")
async def test_no_value_of_a_payload_is_in_a_span(store: Store, collector: Collector) -> None:
    promote_identity(store, "BYTES")
    async with serving(store.registry, rest=True, rest_port=0) as it:
        request = pb.ModelInferRequest(model_name="same")
        request.inputs.add(name="x", datatype="BYTES", shape=[1, 2]).contents.bytes_contents.extend(
            [MARKER.encode()] * 2
        )
        await it.stub.ModelInfer(request)
        request.inputs[0].contents.bytes_contents.append(MARKER.encode())
        with pytest.raises(grpc.aio.AioRpcError):
            await it.stub.ModelInfer(request)
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [MARKER, MARKER]}
        assert (await post(it, "/v2/models/same/infer", {"inputs": [tensor]})).status == 400
    assert len(collector.servers) == 3
    assert MARKER.encode() not in b"".join(each.SerializeToString() for each in collector.requests)
