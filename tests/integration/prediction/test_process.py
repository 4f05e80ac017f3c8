"""The whole process: `python -m services.prediction` with signals, ports and exit codes."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.integration.prediction.serving import raw_request
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import SLOW

COMMAND = [sys.executable, "-m", "services.prediction", "--port", "0", "--metrics-port", "0"]


@dataclass
class Process:
    """A running server process; its log is read line by line."""

    popen: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first log line that matches; fails if the process ends before."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.log.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError("".join(self.log))


def environment(store: Store) -> Mapping[str, str]:
    return os.environ | {"MLFLOW_TRACKING_URI": store.uri, "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextmanager
def process(store: Store, *options: str) -> Iterator[Process]:
    with subprocess.Popen(
        [*COMMAND, *options], env=environment(store), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()


@contextmanager
def slow_call(it: Process) -> "Iterator[grpc.Future[pb.ModelInferResponse]]":
    """A request that runs for more than a second, and has reached the server."""
    port = it.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1]
    it.wait_for("ready: 1 models serve")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer.future(raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
        stub.ServerLive(pb.ServerLiveRequest(), timeout=20)  # the same connection keeps the order
        yield call


def test_sigterm_lets_the_request_under_way_finish_and_exits_0(store: Store) -> None:
    store.promote("digits")
    with process(store) as it:
        with slow_call(it) as call:
            it.popen.send_signal(signal.SIGTERM)
            assert call.result(timeout=20).model_version == "1"
        it.wait_for("SIGTERM: stopping")
        it.wait_for("stopped")
        assert it.popen.wait(timeout=20) == 0


def test_a_second_signal_ends_it_at_once(store: Store) -> None:
    store.promote("digits")
    with process(store, "--drain-grace", "600") as it:
        with slow_call(it) as call:
            it.popen.send_signal(signal.SIGTERM)
            it.wait_for("SIGTERM: stopping")
            it.popen.send_signal(signal.SIGINT)
            it.wait_for("SIGINT again")
            assert call.exception(timeout=20) is not None
        assert it.popen.wait(timeout=20) == 0


def test_a_taken_port_is_one_clear_line_and_exit_1(store: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [*COMMAND, "--port", port], env=environment(store), capture_output=True, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: cannot listen on 127.0.0.1:{port} for gRPC")
    assert "Traceback" not in result.stderr
