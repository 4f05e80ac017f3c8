"""A contestant's process: started, waited for until it answers, and ended with everything that it started."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import grpc

from services.prediction.pb import open_inference_pb2 as pb
from tests.benchmarks.serving.contestant import Contestant, Launch, free_port
from tests.benchmarks.serving.models import Model

METHOD = "/inference.GRPCInferenceService/ModelInfer"

_START_DEADLINE_S = 90.0
_STOP_DEADLINE_S = 15.0
_FRAME_BYTES = 5  # gRPC puts a flag and a length before every message


class StartError(Exception):
    """A server did not come up."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str
    answer_bytes: int
    """Bytes of HTTP/2 DATA in a good answer to the request of the load."""
    pid: int


@contextmanager
def running(contestant: Contestant, model: Model, workplace: Path) -> Iterator[Server]:
    """The contestant serving `model`. Raises StartError, with the place of its log."""
    port = free_port()
    launch = contestant.peer.launch(model, port, workplace)
    log = workplace / "logs" / f"{contestant.name}-{model.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = _begin(launch, output)
        try:
            address = f"127.0.0.1:{port}"
            yield Server(address, _await_answer(address, model, process, log) + _FRAME_BYTES, process.pid)
        finally:
            _stop(process)


def _begin(launch: Launch, output: IO[str]) -> "subprocess.Popen[bytes]":
    command = [str(word) for word in launch.command]
    # A group of its own to end it by, but no session: Linux shares the processors between sessions first, and a load of
    # one thread would get as much of them as the whole server.
    try:
        return subprocess.Popen(command, env=launch.full_environment, stdout=output, stderr=output, process_group=0)
    except OSError as error:  # an environment that was moved, for one
        raise StartError(f"cannot run {command[0]}: {error}") from error


def _await_answer(address: str, model: Model, process: "subprocess.Popen[bytes]", log: Path) -> int:
    """Size of the first answer."""
    deadline = time.monotonic() + _START_DEADLINE_S
    with grpc.insecure_channel(address, [("grpc.max_reconnect_backoff_ms", 200)]) as channel:
        infer = channel.unary_unary(METHOD, pb.ModelInferRequest.SerializeToString, lambda answer: answer)
        while True:
            try:
                return len(infer(model.request(), timeout=5))
            except grpc.RpcError as error:
                if process.poll() is not None:
                    raise StartError(f"ended with {process.returncode}: see {log}") from error
                if time.monotonic() > deadline:
                    raise StartError(f"no answer within {_START_DEADLINE_S:g} s: see {log}") from error
            time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the server to end, then end what is left of its process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_DEADLINE_S)
    with suppress(ProcessLookupError):  # the usual case: nothing is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
