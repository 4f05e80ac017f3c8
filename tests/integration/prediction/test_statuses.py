"""Every row of the status table, reached over a real socket."""

import asyncio
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import ROW, Serving, raw_request, serving, typed_request
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FATAL, SLOW
from tests.waiting import eventually_async

pytestmark = pytest.mark.usefixtures("each_transport")

Code = grpc.StatusCode


async def refused(call: grpc.aio.UnaryUnaryCall[pb.ModelInferRequest, pb.ModelInferResponse]) -> tuple[Code, str]:
    """Status and text of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details() or ""


def slow_request(model: str, share: float = 1.0) -> pb.ModelInferRequest:
    """A request that keeps the model busy for a large part of a second."""
    return raw_request(model, np.array([[SLOW * share, 0, 0]], np.float32))


async def scraped(it: Serving, line: str) -> bool:
    return line in (await it.scrape()).splitlines()


async def test_not_found(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        assert await refused(it.stub.ModelInfer(raw_request("other"))) == (Code.NOT_FOUND, "unknown model 'other'")
        assert await refused(it.stub.ModelInfer(raw_request("digits", version="7"))) == (
            Code.NOT_FOUND,
            "version 7 of model 'digits' is not served: the champion is version 1",
        )
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.load("other")
    assert refusal.value.code() is Code.NOT_FOUND


async def test_a_very_long_name_is_refused_like_any(store: Store) -> None:
    async with serving(store.registry) as it:
        code, text = await refused(it.stub.ModelInfer(raw_request("x" * 1_000_000)))
    assert code is Code.NOT_FOUND
    assert len(text) < 1000


async def test_invalid_argument(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        assert await refused(it.stub.ModelInfer(raw_request("digits", version="one"))) == (
            Code.INVALID_ARGUMENT,
            "model_version: expected an integer, or empty for the champion, came 'one'",
        )
        assert await refused(it.stub.ModelInfer(raw_request("digits", ROW[:, :2]))) == (
            Code.INVALID_ARGUMENT,
            "inputs[features].shape: expected [-1, 3], where -1 is any length from 1, came [1, 2]",
        )
        both = typed_request("digits")
        both.raw_input_contents.append(ROW.tobytes())
        assert (await refused(it.stub.ModelInfer(both)))[0] is Code.INVALID_ARGUMENT
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"


async def test_load_takes_no_parameters(store: Store) -> None:
    store.promote("digits")
    request = pb.RepositoryModelLoadRequest(model_name="digits")
    request.parameters["file:1/model.onnx"].bytes_param = b"code"
    async with serving(store.registry) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.RepositoryModelLoad(request)
    assert refusal.value.code() is Code.INVALID_ARGUMENT


async def test_unavailable_while_the_model_has_no_champion(store: Store) -> None:
    store.register("digits")
    async with serving(store.registry) as it:
        assert await refused(it.stub.ModelInfer(raw_request("digits"))) == (
            Code.UNAVAILABLE,
            "model 'digits' is not ready: no version of it is champion",
        )
        assert not (await it.stub.ModelReady(pb.ModelReadyRequest(name="digits"))).ready


async def test_unavailable_while_stopping_but_what_runs_finishes(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        under_way = it.stub.ModelInfer(slow_request("digits"))
        await eventually_async(lambda: is_running(it))
        stopping = asyncio.create_task(it.server.stop(grace_s=10))
        await eventually_async(lambda: is_unready(it))
        assert await refused(it.stub.ModelInfer(raw_request("digits"))) == (
            Code.UNAVAILABLE,
            "the server is stopping",
        )
        assert not await it.is_healthy()
        assert (await under_way).model_version == "1"
        await stopping


async def test_resource_exhausted_when_the_queue_is_full(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_queue_requests=2, max_batch_size=1) as it:
        running = it.stub.ModelInfer(slow_request("digits"))
        await eventually_async(lambda: is_running(it))
        waiting = [it.stub.ModelInfer(raw_request("digits")) for _ in range(2)]
        await eventually_async(lambda: scraped(it, pending(2)))
        assert await refused(it.stub.ModelInfer(raw_request("digits"))) == (
            Code.RESOURCE_EXHAUSTED,
            "the queue of model 'digits' is full: 2 requests wait already",
        )
        answers = await asyncio.gather(running, *waiting)
        assert await scraped(it, failures("REJECTED", 1))
    assert [answer.model_version for answer in answers] == ["1"] * 3


async def test_deadline_exceeded_in_the_queue_and_never_run(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        running = it.stub.ModelInfer(slow_request("digits"))
        await eventually_async(lambda: is_running(it))
        request = raw_request("digits")
        request.parameters["timeout"].int64_param = 1000  # microseconds
        assert await refused(it.stub.ModelInfer(request)) == (
            Code.DEADLINE_EXCEEDED,
            "the deadline passed while the request waited for model 'digits'",
        )
        await running
        assert await scraped(it, failures("CANCELED", 1))
        assert await scraped(it, 'nv_inference_count{model="digits",version="1"} 1.0')


async def test_a_clients_own_deadline_ends_its_wait(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        running = it.stub.ModelInfer(slow_request("digits"))
        await eventually_async(lambda: is_running(it))
        assert (await refused(it.stub.ModelInfer(raw_request("digits"), timeout=0.05)))[0] is Code.DEADLINE_EXCEEDED
        await running
        assert await scraped(it, 'nv_inference_exec_count{model="digits",version="1"} 1.0')


async def test_failed_precondition_for_a_version_that_does_not_load(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, poll_interval_s=60) as it:
        altered = store.promote("digits", scale=2.0)
        store.artifact("digits", altered, "model.onnx").write_bytes(b"altered")
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.load("digits")
        assert refusal.value.code() is Code.FAILED_PRECONDITION
        assert "model.onnx was altered" in (refusal.value.details() or "")
        assert "model.onnx was altered" in await it.reason("digits", altered)
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
        assert (await refused(it.stub.ModelInfer(raw_request("digits", version=altered))))[0] is Code.UNAVAILABLE


async def test_unauthenticated_and_permission_denied(store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may what\ninfer alpha\nadmin omega\n")
    store.promote("digits")
    async with serving(store.registry, tokens_file=tokens) as it:

        async def status(token: str, *, load: bool) -> Code:
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            try:
                if load:
                    await it.load("digits", metadata)
                else:
                    await it.stub.ModelInfer(raw_request("digits"), metadata=metadata)
            except grpc.aio.AioRpcError as error:
                return error.code()
            return Code.OK

        assert [await status(token, load=False) for token in ("", "beta", "alpha", "omega")] == [
            Code.UNAUTHENTICATED,
            Code.UNAUTHENTICATED,
            Code.OK,
            Code.OK,
        ]
        assert [await status(token, load=True) for token in ("", "alpha", "omega")] == [
            Code.UNAUTHENTICATED,
            Code.PERMISSION_DENIED,
            Code.OK,
        ]


async def test_a_graph_that_fails_is_internal_and_says_nothing_of_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        code, text = await refused(it.stub.ModelInfer(raw_request("digits", np.full((1, 3), FATAL, np.float32))))
        assert code is Code.INTERNAL
        assert text.startswith("internal error; the server's log has more under request id ")
        assert await scraped(it, failures("BACKEND", 1))
        assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"
    record = next(record for record in caplog.records if text.split()[-1] in record.getMessage())
    assert record.exc_info is not None
    assert "while running Gather node" in str(record.exc_info[1])


async def is_running(it: Serving) -> bool:
    """A batch was taken from the queue: something was pending, and nothing is any more."""
    page = (await it.scrape()).splitlines()
    return pending(0) in page and not it.server.plane.model("digits", "").batcher.idle


async def is_unready(it: Serving) -> bool:
    return not (await it.stub.ServerReady(pb.ServerReadyRequest())).ready


def pending(num_requests: int) -> str:
    return f'nv_inference_pending_request_count{{model="digits",version="1"}} {num_requests}.0'


def failures(reason: str, num_requests: int) -> str:
    return f'nv_inference_request_failure{{model="digits",reason="{reason}",version="1"}} {num_requests}.0'
