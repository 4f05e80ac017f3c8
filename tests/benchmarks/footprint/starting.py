"""Cold starts: from the start of the process to the first right answer of every model."""

import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from pipelines.errors import PackageError
from services.prediction.flood_guard import resident_bytes
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.benchmarks.serving.checker import in_shape, read_outputs
from tests.benchmarks.serving.models import Model
from tests.integration.pipelines.ports import free_port

DEADLINE_S = 60.0
LOOK_S = 0.005


@dataclass(frozen=True)
class Start:
    """One cold start."""

    first_answer_s: float
    """Until one model gave a right answer."""
    all_answer_s: float
    """Until every model had."""
    resident_bytes: int


def cold_start(command: Sequence[str], environment: dict[str, str], models: Sequence[Model], log: Path) -> Start:
    """Start the server, `command` and a port, and ask until every model has answered rightly. Raises TimeoutError."""
    port = free_port()
    begun_s = time.monotonic()
    with ended([*command, "--port", str(port)], environment, log) as process:
        waiting, answered_s = list(models), []
        with grpc.insecure_channel(f"127.0.0.1:{port}", _RECONNECT) as channel:
            stub = GRPCInferenceServiceStub(channel)
            while waiting:
                if time.monotonic() - begun_s > DEADLINE_S or process.poll() is not None:
                    raise TimeoutError(f"no right answer of {[model.name for model in waiting]}: see {log}")
                if _answers_rightly(stub, waiting[0]):
                    answered_s.append(time.monotonic() - begun_s)
                    waiting.pop(0)
                else:
                    time.sleep(LOOK_S)
        return Start(answered_s[0], answered_s[-1], resident_bytes(process.pid))


_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 10),
    ("grpc.min_reconnect_backoff_ms", 10),
    ("grpc.max_reconnect_backoff_ms", 20),
]


def _answers_rightly(stub: GRPCInferenceServiceStub, model: Model) -> bool:
    try:
        answer = stub.ModelInfer(model.request(), timeout=5)
    except grpc.RpcError:
        return False
    expected = model.expected(0)
    with suppress(PackageError):
        expected.check(in_shape(read_outputs(answer), expected.outputs))
        return True
    return False


@contextmanager
def ended(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is ended with the block."""
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab"))
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def await_health(address: str) -> None:
    """Return as soon as MLflow's server answers. Raises TimeoutError."""
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=5):
            return
        time.sleep(0.1)
    raise TimeoutError(f"MLflow at {address} is not healthy after {DEADLINE_S:g} s")
