"""ModelStreamInfer over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import ROW, Serving, raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FATAL, SLOW, probabilities
from tests.waiting import eventually_async

Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.ModelInferRequest, pb.ModelStreamInferResponse]"


def numbered(count: int, model: str = "digits") -> list[pb.ModelInferRequest]:
    """Requests with the ids 0, 1, … and rows of their own."""
    requests = [raw_request(model, ROW * np.float32(number / 10)) for number in range(count)]
    for number, request in enumerate(requests):
        request.id = str(number)
    return requests


async def answers_to(it: Serving, requests: list[pb.ModelInferRequest]) -> list[pb.ModelStreamInferResponse]:
    async def each() -> AsyncIterator[pb.ModelInferRequest]:
        for request in requests:
            yield request

    return [answer async for answer in it.stub.ModelStreamInfer(each())]


async def test_answers_come_in_order_and_from_shared_batches(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        answers = await answers_to(it, numbered(200))
        totals = await it.stub.ModelStatistics(pb.ModelStatisticsRequest(name="digits"))
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(200)]
    for number, answer in enumerate(answers):
        assert not answer.error_message
        expected = probabilities(ROW * np.float32(number / 10), 1.0)
        np.testing.assert_allclose(raw_probabilities(answer.infer_response), expected, atol=1e-6)
    assert totals.model_stats[0].inference_count == 200
    assert totals.model_stats[0].execution_count < 200


async def test_errors_are_answers_and_the_stream_goes_on(store: Store) -> None:
    store.promote("digits")
    requests = numbered(5)
    requests[1].model_name = "other"
    requests[2].raw_input_contents[0] = b""
    requests[3].raw_input_contents[0] = np.full((1, 3), FATAL, np.float32).tobytes()
    async with serving(store.registry, max_batch_size=1) as it:  # a graph that fails fails for its whole batch
        answers = await answers_to(it, requests)
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2", "3", "4"]
    texts = [answer.error_message for answer in answers]
    assert texts[:2] == ["", "unknown model 'other'"]
    assert texts[2] == "raw_input_contents for features: expected 12 bytes for FP32 [1, 3], came 0 bytes"
    assert texts[3].startswith("internal error; the server's log has more under request id ")
    assert texts[4] == ""


async def test_only_so_many_requests_of_a_stream_are_at_work(store: Store) -> None:
    store.promote("digits")
    slow = numbered(8)
    for request in slow:
        request.raw_input_contents[0] = np.array([[SLOW / 10, 0, 0]], np.float32).tobytes()
    most = 0
    async with serving(store.registry, max_stream_requests=3, max_batch_size=1) as it:
        streaming = asyncio.ensure_future(answers_to(it, slow))
        while not streaming.done():
            most = max(most, it.server.plane.num_active)
            await asyncio.sleep(0.005)
        assert len(await streaming) == 8
    assert most == 3


async def test_streams_are_limited(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_streams=1) as it:
        first = it.stub.ModelStreamInfer()
        await first.write(raw_request("digits"))
        assert (await answer_of(first)).infer_response.model_version == "1"
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await answers_to(it, numbered(1))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal.value.details() == "1 streams are open already, the most that this server takes"
        await first.done_writing()
        assert await first.read() is grpc.aio.EOF
        assert len(await answers_to(it, numbered(1))) == 1


async def test_a_stream_needs_the_right_to_infer(store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("infer alpha\n")
    store.promote("digits")
    async with serving(store.registry, tokens_file=tokens) as it:
        allowed = it.stub.ModelStreamInfer(iter([raw_request("digits")]), metadata=bearer("alpha"))
        assert [answer.infer_response.model_version async for answer in allowed] == ["1"]
        refused = it.stub.ModelStreamInfer(iter([raw_request("digits")]), metadata=bearer("beta"))
        assert await refused.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_unloading_needs_the_right_to_administer(store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("infer alpha\n")
    store.promote("digits")
    async with serving(store.registry, tokens_file=tokens) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.RepositoryModelUnload(
                pb.RepositoryModelUnloadRequest(model_name="digits"), metadata=bearer("alpha")
            )
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_client_that_leaves_frees_its_stream_and_its_requests(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_streams=1, max_batch_size=1) as it:
        call = it.stub.ModelStreamInfer()
        for request in numbered(4):
            request.raw_input_contents[0] = np.array([[SLOW, 0, 0]], np.float32).tobytes()
            await call.write(request)
        await eventually_async(lambda: has_active(it, 4))
        call.cancel()
        await eventually_async(lambda: has_active(it, 0))
        assert len(await answers_to(it, numbered(2))) == 2


async def test_a_stream_that_is_open_at_the_end_hears_of_it(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        call = it.stub.ModelStreamInfer()
        await call.write(raw_request("digits"))
        assert not (await answer_of(call)).error_message
        await asyncio.wait_for(it.server.stop(grace_s=5), timeout=4)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call.read()


async def answer_of(call: Call) -> pb.ModelStreamInferResponse:
    answer = await call.read()
    assert isinstance(answer, pb.ModelStreamInferResponse)
    return answer


def bearer(token: str) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)


async def has_active(it: Serving, count: int) -> bool:
    return it.server.plane.num_active == count
