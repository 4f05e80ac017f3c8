"""What a client may rely on whichever transport it meets: limits, deadlines, cancellation, metadata, the end."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import asyncio
import secrets
from collections.abc import Awaitable

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import ROW, Serving, raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FATAL, SLOW, probabilities
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("each_transport")

METHOD = "/inference.GRPCInferenceService/ModelInfer"
Code = grpc.StatusCode


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details() or ""


def raw_bytes(it: Serving, method: str = METHOD) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    """The method with messages as they travel."""
    return it.channel.unary_unary(method)


async def idle(it: Serving) -> bool:
    return it.server.plane.model("digits", "").batcher.idle


async def test_many_at_a_time_get_their_own_answers(store: Store) -> None:
    store.promote("digits")
    rows = np.random.default_rng(0).normal(size=(300, 1, 3)).astype(np.float32)
    async with serving(store.registry) as it:
        answers = await asyncio.gather(*(it.stub.ModelInfer(raw_request("digits", row)) for row in rows))
    for row, answer in zip(rows, answers, strict=True):
        np.testing.assert_allclose(raw_probabilities(answer), probabilities(row, 1.0), atol=1e-6)


async def test_more_rows_than_a_batch_come_back_whole(store: Store) -> None:
    store.promote("digits")
    rows = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    async with serving(store.registry, max_batch_size=8) as it:
        answer = await it.stub.ModelInfer(raw_request("digits", rows))
        assert 'nv_inference_exec_count{model="digits",version="1"} 13.0' in await it.scrape()
    np.testing.assert_allclose(raw_probabilities(answer), probabilities(rows, 1.0), atol=1e-6)


async def test_a_message_beyond_the_limit_is_refused_in_grpcs_words(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_message_bytes=2000) as it:
        request = raw_request("digits", np.zeros((1000, 3), np.float32))
        size = request.ByteSize()
        expected = Code.RESOURCE_EXHAUSTED, f"SERVER: Received message larger than max ({size} vs. 2000)"
        assert await refused(it.stub.ModelInfer(request)) == expected
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"


async def test_an_answer_beyond_the_limit_is_refused(store: Store) -> None:
    store.promote("digits")
    rows = np.zeros((100, 3), np.float32)  # 1200 bytes of inputs, 1600 of outputs
    async with serving(store.registry, max_message_bytes=1400) as it:
        code, text = await refused(it.stub.ModelInfer(raw_request("digits", rows)))
        assert code is Code.RESOURCE_EXHAUSTED
        assert "SERVER: Sent message larger than max" in text
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"


async def test_what_is_no_message_is_the_callers_mistake(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        code, text = await refused(raw_bytes(it)(b"\xff" * 9))
        metadata = "/inference.GRPCInferenceService/ModelMetadata"
        assert (code, text) == await refused(raw_bytes(it, metadata)(b"\xff" * 9))
    assert code is Code.INVALID_ARGUMENT
    assert text == "message: expected one of the method's type, came 9 bytes that are none"


async def test_an_unknown_method_is_unimplemented(store: Store) -> None:
    async with serving(store.registry) as it:
        for method in ("/inference.GRPCInferenceService/Other", "/other.Service/Method"):
            assert (await refused(raw_bytes(it, method)(b"")))[0] is Code.UNIMPLEMENTED


async def test_compressed_requests_are_read(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        answer = await it.stub.ModelInfer(raw_request("digits"), compression=grpc.Compression.Gzip)
    np.testing.assert_allclose(raw_probabilities(answer), probabilities(ROW, 1.0), atol=1e-6)


async def test_the_callers_request_id_is_in_the_text_of_a_fault(store: Store) -> None:
    store.promote("digits")
    fatal = raw_request("digits", np.array([[FATAL, 0, 0]], np.float32))
    async with serving(store.registry) as it:
        code, text = await refused(it.stub.ModelInfer(fatal, metadata=(("x-request-id", "r-4711"),)))
    assert code is Code.INTERNAL
    assert text.endswith("request id r-4711")


async def test_metadata_of_any_kind_does_no_harm(store: Store) -> None:
    store.promote("digits")
    metadata = (("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"), ("some-bin", secrets.token_bytes(100)))
    async with serving(store.registry) as it:
        answer = await it.stub.ModelInfer(raw_request("digits"), metadata=metadata)
    assert answer.model_version == "1"


async def test_what_waits_is_bounded_in_bytes(store: Store) -> None:
    store.promote("digits")
    large = raw_request("digits", np.zeros((1000, 3), np.float32))
    async with serving(store.registry, max_pending_bytes=2**20, max_queue_requests=10**5) as it:
        running = it.stub.ModelInfer(raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
        await eventually_async(lambda: is_running(it))
        outcomes = await asyncio.gather(*(it.stub.ModelInfer(large) for _ in range(100)), return_exceptions=True)
        assert (await running).model_version == "1"
    refusals = [outcome.code() for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert set(refusals) == {Code.RESOURCE_EXHAUSTED}
    assert 100 - len(refusals) == (2**20 // 12_000 + 1) // 2, "as long as a model holds no more than is free"


async def test_a_cancelled_request_leaves_the_queue(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=1) as it:
        running = it.stub.ModelInfer(raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
        await eventually_async(lambda: is_running(it))
        waiting = [it.stub.ModelInfer(raw_request("digits")) for _ in range(3)]
        await eventually_async(lambda: pending(it, 3))
        waiting[0].cancel()
        waiting[2].cancel()
        await running
        assert (await waiting[1]).model_version == "1"
        await eventually_async(lambda: idle(it))
        page = await it.scrape()
    assert 'nv_inference_count{model="digits",version="1"} 2.0' in page
    assert 'nv_inference_request_failure{model="digits",reason="CANCELED",version="1"} 2.0' in page


async def test_a_client_that_vanishes_leaves_nothing_behind(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=1) as it:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{it.server.port}") as channel:
            ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            slow = raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)).SerializeToString()
            calls = [ask(slow)]
            await eventually_async(lambda: is_running(it))
            calls += [ask(raw_request("digits").SerializeToString()) for _ in range(20)]
            await eventually_async(lambda: pending(it, 20))
        assert all(call.done() for call in calls)
        await eventually_async(lambda: idle(it))
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
        assert 'nv_inference_pending_request_count{model="digits",version="1"} 0.0' in await it.scrape()


async def test_a_slow_model_does_not_hold_up_a_fast_one(store: Store) -> None:
    store.promote("slow")
    store.promote("digits")
    async with serving(store.registry) as it:
        slow = it.stub.ModelInfer(raw_request("slow", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
        answers = [await it.stub.ModelInfer(raw_request("digits"), timeout=10) for _ in range(20)]
        assert not slow.done()
        assert (await slow).model_version == "1"
    assert len(answers) == 20


async def test_a_priority_overtakes(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=1) as it:
        running = it.stub.ModelInfer(raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
        await eventually_async(lambda: is_running(it))
        order: list[int] = []

        async def ask(priority: int) -> None:
            request = raw_request("digits")
            request.parameters["priority"].uint64_param = priority
            await it.stub.ModelInfer(request)
            order.append(priority)

        tasks = [asyncio.create_task(ask(priority)) for priority in (9, 0, 1)]
        await eventually_async(lambda: pending(it, 3))
        await asyncio.gather(running, *tasks)
    assert order[0] == 1
    assert order[-1] == 9


async def test_the_port_is_free_again_afterwards(store: Store) -> None:
    async with serving(store.registry) as it:
        port = it.server.port
    async with serving(store.registry, port=port) as it:
        assert (await it.stub.ServerLive(pb.ServerLiveRequest())).live


async def is_running(it: Serving) -> bool:
    return await pending(it, 0) and not await idle(it)


async def pending(it: Serving, number: int) -> bool:
    return f'nv_inference_pending_request_count{{model="digits",version="1"}} {number}.0' in await it.scrape()
