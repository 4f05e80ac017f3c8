"""A client that asks about golden rows now and then while the load runs, and compares the answers with torch's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import grpc
import numpy as np

from pipelines.errors import PackageError
from pipelines.registry.manifest import NUMPY_DTYPES, Datatype
from pipelines.registry.package import Arrays
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.server import Server

_PAUSE_S = 0.2  # five requests a second are nothing beside the load
_TIMEOUT_S = 10.0


@dataclass
class Checks:
    """What the client saw."""

    checked: int = 0
    problems: list[str] = field(default_factory=list)
    """Answers that were errors, or not what torch says."""


@contextmanager
def checking(server: Server, model: Model) -> Iterator[Checks]:
    """Check answers while the block runs; at least one of them."""
    checks, stop = Checks(), threading.Event()
    thread = threading.Thread(target=_check_until, args=(stop, server, model, checks))
    thread.start()
    try:
        yield checks
    finally:
        stop.set()
        thread.join()


def _check_until(stop: threading.Event, server: Server, model: Model, checks: Checks) -> None:
    rows = len(next(iter(model.golden.inputs.values())))
    with grpc.insecure_channel(server.address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        while True:
            _check(stub, model, checks.checked % rows, checks)
            if stop.wait(_PAUSE_S):
                return


def _check(stub: GRPCInferenceServiceStub, model: Model, row: int, checks: Checks) -> None:
    checks.checked += 1
    try:
        answer = stub.ModelInfer(model.request(row), timeout=_TIMEOUT_S)
        expected = model.expected(row)
        expected.check(in_shape(read_outputs(answer), expected.outputs))
    except (grpc.RpcError, PackageError, ValueError) as error:
        checks.problems.append(str(error))


def in_shape(outputs: Arrays, expected: Arrays) -> Arrays:
    """The same values in the expected shapes: Triton and MLServer answer `(rows, 1)` for `(rows,)`."""
    return {name: array.reshape(expected[name].shape) for name, array in outputs.items()}


def read_outputs(answer: pb.ModelInferResponse) -> Arrays:
    """The tensors of a raw answer by name."""
    return {
        output.name: np.frombuffer(raw, NUMPY_DTYPES[cast(Datatype, output.datatype)]).reshape(output.shape)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
