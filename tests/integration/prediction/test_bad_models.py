"""Models that raise, hang for ever or answer nonsense: their own callers hear of it, and nobody else."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.fuzz.server import Target, target
from tests.integration.prediction.serving import raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FATAL, classifier, plain_classifier
from tests.waiting import eventually

Code = grpc.StatusCode
HANGING = np.full((1, 3), 1000, np.float32)
"""With so many loops for each one, a quarter of an hour."""
QUIET = np.zeros((1, 3), np.float32)


def code_of(call: "grpc.Future[pb.ModelInferResponse]") -> Code | None:
    """How the call ended; None if it was answered."""
    error = call.exception(timeout=30)
    return error.code() if isinstance(error, grpc.RpcError) else None


def is_stuck(stub: GRPCInferenceServiceStub) -> bool:
    call = stub.ModelInfer.future(raw_request("stuck", QUIET), timeout=2)
    return code_of(call) is Code.DEADLINE_EXCEEDED


@contextmanager
def with_a_hung_model(store: Store, transport: str, *options: str) -> Iterator[tuple[Target, GRPCInferenceServiceStub]]:
    """A process with two models, of which `stuck` runs a request that never ends."""
    store.promote("digits")
    store.registry.promote("stuck", store.register("stuck", graph=classifier(1.0, loops=10**6)))
    with (
        target(store, store.directory, "--transport", transport, *options) as it,
        grpc.insecure_channel(f"127.0.0.1:{it.port}") as channel,
    ):
        stub = GRPCInferenceServiceStub(channel)
        hung = stub.ModelInfer.future(raw_request("stuck", HANGING))
        eventually(lambda: is_stuck(stub))
        yield it, stub
        hung.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_a_model_that_hangs_costs_its_own_callers_only(store: Store, transport: str) -> None:
    with with_a_hung_model(store, transport, "--max-queue-requests", "8") as (it, stub):
        waiting = [stub.ModelInfer.future(raw_request("stuck", QUIET), timeout=2) for _ in range(20)]
        it.check_answers()
        codes = [code_of(call) for call in waiting]
        assert set(codes) == {Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED}
        assert codes.count(Code.RESOURCE_EXHAUSTED) == 12
        once_more = raw_request("stuck", QUIET)  # as soon as the server, too, has seen those deadlines pass
        eventually(lambda: code_of(stub.ModelInfer.future(once_more, timeout=0.2)) is Code.DEADLINE_EXCEEDED)
        it.check_answers()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_what_waits_for_a_hung_model_leaves_memory_to_the_others(store: Store, transport: str) -> None:
    large = raw_request("stuck", np.zeros((20_000, 3), np.float32))
    limits = {"--max-pending-bytes": 2**26, "--max-queue-requests": 10**5, "--max-request-rows": 20_000}
    options = [str(each) for pair in limits.items() for each in pair]
    with with_a_hung_model(store, transport, *options) as (it, stub):
        waiting = [stub.ModelInfer.future(large, timeout=30) for _ in range(160)]
        eventually(lambda: sum(call.done() for call in waiting) >= 15)  # half of the limit holds 140
        codes = {code_of(call) for call in waiting if call.done()}
        assert codes == {Code.RESOURCE_EXHAUSTED}, it.log.read_text()
        it.check_answers()
        for call in waiting:
            call.cancel()
        assert code_of(stub.ModelInfer.future(large, timeout=1)) is Code.DEADLINE_EXCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_a_hung_model_does_not_keep_the_process_from_ending(store: Store, transport: str) -> None:
    with with_a_hung_model(store, transport, "--drain-grace", "1") as (it, _):
        started_s = time.monotonic()
        it.popen.send_signal(signal.SIGTERM)
        assert it.popen.wait(timeout=15) == 0, it.log.read_text()
        assert time.monotonic() - started_s < 5
        assert "Traceback" not in it.log.read_text()


@pytest.mark.usefixtures("each_transport")
async def test_a_model_that_raises_fails_the_request_that_it_cannot_bear(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) as fault:
                await it.stub.ModelInfer(raw_request("digits", np.full((1, 3), FATAL, np.float32)))
            assert fault.value.code() is Code.INTERNAL
            assert (await it.stub.ModelInfer(raw_request("digits"))).model_version == "1"


@pytest.mark.usefixtures("each_transport")
async def test_what_is_no_number_is_answered_as_it_is(store: Store) -> None:
    store.registry.promote("digits", store.register("digits", graph=plain_classifier(1.0)))
    async with serving(store.registry) as it:
        answer = await it.stub.ModelInfer(raw_request("digits", np.array([[np.nan, 0, 0], [0, 0, 0]], np.float32)))
    np.testing.assert_array_equal(raw_probabilities(answer), [[np.nan, np.nan], [0.5, 0.5]])
