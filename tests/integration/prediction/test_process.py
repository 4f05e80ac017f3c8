"""The whole process: `python -m services.prediction` with signals, ports and exit codes."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.integration.prediction.serving import raw_request
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import SLOW

COMMAND = [sys.executable, "-m", "services.prediction", "--port", "0", "--metrics-port", "0", "--rest-port", "0"]


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


def environment(uri: str) -> Mapping[str, str]:
    return os.environ | {"MLFLOW_TRACKING_URI": uri, "MLFLOW_DISABLE_TELEMETRY": "true"}


@contextmanager
def process(store: Store, *options: str, uri: str = "") -> Iterator[Process]:
    with subprocess.Popen(
        [*COMMAND, *options],
        env=environment(uri or store.uri),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
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
            [*COMMAND, "--port", port],
            env=environment(store.uri),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: cannot listen on 127.0.0.1:{port} for gRPC")
    assert "Traceback" not in result.stderr


@pytest.fixture
def hanging() -> Iterator[str]:
    """Address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "within_s"), [("hanging", 5.0), ("refusing", 0.0)])
def test_a_restart_with_a_dead_registry_serves_out_of_the_cache(
    store: Store, tmp_path: Path, hanging: str, kind: str, within_s: float
) -> None:
    store.promote("digits")
    options = ("--cache-dir", str(tmp_path / "cache"), "--poll-interval", "0.1")
    with process(store, *options) as it:
        it.wait_for("ready: 1 models serve")
        it.popen.kill()
    uri = hanging if kind == "hanging" else "http://registry.invalid:5000"
    with process(store, *options, uri=uri) as it:
        port = it.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1]
        started_s = time.monotonic()
        it.wait_for("ready: 1 models serve")
        assert time.monotonic() - started_s < within_s + 10
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = GRPCInferenceServiceStub(channel).ModelInfer(raw_request("digits"), timeout=20)
        assert answer.model_version == "1"


def test_a_collector_that_is_away_holds_up_neither_requests_nor_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.promote("digits")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with process(store) as it:
            with slow_call(it) as call:
                assert call.result(timeout=20).model_version == "1"
            it.popen.send_signal(signal.SIGTERM)
            it.popen.communicate(timeout=20)
    assert it.popen.returncode == 0


def test_a_protocol_that_spans_are_not_sent_by_ends_with_2(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    with process(store) as it:
        it.wait_for("error: OTEL_EXPORTER_OTLP_PROTOCOL: expected grpc, came http/protobuf")
        assert it.popen.wait(timeout=20) == 2
