"""h2load against a real server that answers some requests with errors."""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.benchmarks.serving.checker import checking
from tests.benchmarks.serving.load import drive
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.peers.own import canned_answer
from tests.benchmarks.serving.server import Server
from tests.unit.prediction.graphs import golden, manifest

pytestmark = pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load, of Debian's nghttp2-client")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model("kinds", "1", tmp_path, tmp_path, manifest("kinds"), golden(1.0))


@contextmanager
def serving(model: Model, *, error_every: int = 0) -> Iterator[Server]:
    """A server that answers what torch said of the first row, and every so many requests with an error."""
    answer, numbers = canned_answer(model), itertools.count(1)

    def infer(_: pb.ModelInferRequest, context: grpc.ServicerContext) -> pb.ModelInferResponse:
        if error_every and next(numbers) % error_every == 0:
            context.abort(grpc.StatusCode.UNAVAILABLE, "now and then")
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(1))
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
    server.add_generic_rpc_handlers([service])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Server(f"127.0.0.1:{port}", answer.ByteSize() + 5, os.getpid())
    finally:
        server.stop(None).wait()


def test_good_answers_are_no_errors(model: Model, tmp_path: Path) -> None:
    with serving(model) as server:
        load = drive(server, model, in_flight=4, seconds=1, connections=2, scratch=tmp_path)
    assert load.errors == 0
    assert load.requests > 100
    assert 0 < load.p50_ms <= load.p99_ms
    assert load.requests_per_second == pytest.approx(load.requests, rel=0.1)


def test_grpc_errors_are_counted(model: Model, tmp_path: Path) -> None:
    with serving(model, error_every=4) as server:
        load = drive(server, model, in_flight=4, seconds=1, connections=1, scratch=tmp_path)
    assert load.errors == pytest.approx(load.requests / 4, abs=5)


def test_answers_to_other_rows_are_found_wrong(model: Model) -> None:
    with serving(model) as server, checking(server, model) as checks:
        deadline = time.monotonic() + 10
        while checks.checked < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert checks.checked >= 2
    assert len(checks.problems) == checks.checked - 1
    assert "off by" in checks.problems[0]
