"""Several processes on one port, as one server: `python -m services.prediction --processes 2`."""

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import grpc
import numpy as np
import pytest

from services.prediction.client import PredictionClient
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from services.prediction.processes.place import Place
from services.rpc.pages import read_page
from tests.integration.prediction.client.certificates import Authority
from tests.integration.prediction.serving import ROW, raw_request
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_process import COMMAND, Process, environment, process
from tests.unit.prediction.graphs import SLOW
from tests.waiting import PATIENCE_S, eventually

NUM_CHANNELS = 24
"""Connections, of which the kernel gives all to one of two processes once in eight million tries."""

pytestmark = pytest.mark.slow

each_transport = pytest.mark.parametrize("transport", ["native", "grpcio"])


def number_of(page: str, metric: str) -> float:
    """The sum of a metric's samples."""
    lines = (line for line in page.splitlines() if re.match(rf"{metric}[ {{]", line))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@dataclass
class Several:
    """A server of two processes, ready to answer."""

    it: Process
    port: int
    rest_port: int
    metrics_port: int

    def places(self) -> dict[int, Place]:
        """Those of the processes, by process id."""
        pid = self.it.popen.pid
        children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        command_lines = {each: Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0") for each in children}
        return {pid: Place.model_validate_json(words[3]) for pid, words in command_lines.items() if len(words) > 4}

    def answered(self) -> float:
        """Requests, as the page has it."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_S) as page:
            return number_of(page.read().decode(), "nv_inference_request_success")

    def answered_each(self) -> list[float]:
        """The same, of each process."""
        return [number_of(read_page(place.page), "nv_inference_request_success") for place in self.places().values()]

    def rest(self, path: str) -> None:
        """POST without parameters; raises HTTPError."""
        with urlopen(Request(f"http://127.0.0.1:{self.rest_port}{path}", b"{}"), timeout=PATIENCE_S):
            pass


@contextmanager
def several(store: Store, *options: str) -> Iterator[Several]:
    with process(store, "--processes", "2", *options) as it:
        found = it.wait_for(r"2 processes share 127\.0\.0\.1:(\d+), REST on port (\d+), metrics on port (\d+)")
        it.wait_for("ready: ")
        it.wait_for("ready: ")
        yield Several(it, *map(int, found.groups()))
        it.popen.send_signal(signal.SIGTERM)
        assert it.popen.wait(PATIENCE_S) == 0


@contextmanager
def stubs(port: int, credentials: grpc.ChannelCredentials | None = None) -> Iterator[list[GRPCInferenceServiceStub]]:
    """With a connection each."""
    address, options = f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]
    channels = [
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
        for _ in range(NUM_CHANNELS)
    ]
    with ExitStack() as stack:
        yield [GRPCInferenceServiceStub(stack.enter_context(channel)) for channel in channels]


def infer(stub: GRPCInferenceServiceStub, version: str = "") -> str:
    """The version that answered; the name of the status where none did."""
    try:
        return stub.ModelInfer(raw_request("digits", version=version), timeout=PATIENCE_S).model_version
    except grpc.RpcError as error:
        return str(error.code().name)


def answering(each: list[GRPCInferenceServiceStub]) -> GRPCInferenceServiceStub:
    """One whose connection is with a process that is not stopped."""
    for stub in each:
        try:
            stub.ServerLive(pb.ServerLiveRequest(), timeout=1)
        except grpc.RpcError:
            continue
        return stub
    raise AssertionError("no process answers")


def answers(port: int, version: str = "") -> set[str]:
    """What many connections hear, between them all processes."""
    with stubs(port) as each:
        return {infer(stub, version) for stub in each}


@each_transport
def test_all_processes_answer_and_the_page_counts_each_request_once(store: Store, transport: str) -> None:
    store.promote("digits")
    with several(store, "--transport", transport) as it, stubs(it.port) as each:
        assert {infer(stub) for stub in each} == {"1"}
        assert sum(it.answered_each()) == it.answered() == NUM_CHANNELS
        assert 0 < it.answered_each()[0] < NUM_CHANNELS
        told = [stub.ModelStatistics(pb.ModelStatisticsRequest(name="digits")).model_stats for stub in each]
        assert {(len(stats), stats[0].inference_stats.success.count) for stats in told} == {(1, NUM_CHANNELS)}
        assert any("process 1" in line for line in it.it.log)


@each_transport
def test_a_killed_process_is_started_again_and_no_client_that_retries_notices(store: Store, transport: str) -> None:
    store.promote("digits")
    stopped = threading.Event()

    def load(port: int) -> int:
        num_answers = 0
        with PredictionClient(f"127.0.0.1:{port}") as client:
            while not stopped.is_set():
                client.predict("digits", ROW)
                num_answers += 1
        return num_answers

    with several(store, "--transport", transport) as it, ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(load, it.port) for _ in range(8)]
        try:
            eventually(lambda: it.answered() > 100)
            before, killed = it.answered(), next(iter(it.places()))
            os.kill(killed, signal.SIGKILL)
            it.it.wait_for("it is started again")
            assert it.answered() >= before
            it.it.wait_for("ready: ")
            counts = [it.answered() for _ in range(5)]
            assert counts == sorted(counts)
        finally:
            stopped.set()
        assert all(each.result(PATIENCE_S) > 0 for each in loads)
        assert killed not in it.places()
        assert len(it.places()) == 2
        assert answers(it.port) == {"1"}
        assert min(it.answered_each()) > 0


@each_transport
def test_loads_and_unloads_reach_all_and_those_that_come_later(store: Store, transport: str) -> None:
    store.promote("digits")
    with several(store, "--transport", transport, "--poll-interval", "0.1") as it, stubs(it.port) as each:
        asked = pb.RepositoryModelLoadRequest(model_name="digits")
        asked.parameters["version"].string_param = store.register("digits", 2.0)
        each[0].RepositoryModelLoad(asked, timeout=PATIENCE_S)
        assert answers(it.port, "2") == {"2"}
        os.kill(next(iter(it.places())), signal.SIGKILL)
        it.it.wait_for("it is started again")
        it.it.wait_for("ready: ")
        assert answers(it.port, "2") == {"2"}
        it.rest("/v2/repository/models/digits/unload")
        assert answers(it.port) == {"UNAVAILABLE"}
        it.rest("/v2/repository/models/digits/load")
        assert answers(it.port) == {"1"}


def test_an_order_tells_which_process_has_not_done_it_and_that_one_does_it_when_it_is_back(store: Store) -> None:
    store.promote("digits")
    with several(store) as it:
        killed, place = next(iter(it.places().items()))
        os.kill(killed, signal.SIGKILL)
        it.it.wait_for("it is started again")
        request = pb.RepositoryModelUnloadRequest(model_name="digits")
        with stubs(it.port) as each, pytest.raises(grpc.RpcError) as refused:
            each[0].RepositoryModelUnload(request, timeout=PATIENCE_S)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert f"process {place.number} of this server" in (refused.value.details() or "")
        it.it.wait_for("ready: ")
        assert answers(it.port) == {"UNAVAILABLE"}


def test_a_process_that_has_stopped_holds_up_no_order_for_ever(store: Store) -> None:
    store.promote("digits")
    with several(store) as it:
        stopped, place = next(iter(it.places().items()))
        order = pb.RepositoryModelUnloadRequest(model_name="digits")
        os.kill(stopped, signal.SIGSTOP)
        try:
            with stubs(it.port) as each, pytest.raises(grpc.RpcError) as refused:
                answering(each).RepositoryModelUnload(order)  # the caller sets no deadline
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert f"process {place.number} of this server" in (refused.value.details() or "")
        with stubs(it.port) as each:
            each[0].RepositoryModelUnload(order, timeout=PATIENCE_S)
        assert answers(it.port) == {"UNAVAILABLE"}


def test_who_has_no_right_cannot_order_by_way_of_the_private_sockets(store: Store) -> None:
    store.promote("digits")
    tokens = store.directory / "tokens"
    tokens.write_text("admin a-secret-of-sixteen\n")
    with several(store, "--tokens-file", str(tokens)) as it, stubs(it.port) as each:
        (folder,) = {place.folder for place in it.places().values()}
        assert folder.stat().st_mode & 0o777 == 0o700
        request = pb.RepositoryModelUnloadRequest(model_name="digits")
        with pytest.raises(grpc.RpcError) as refused:
            each[0].RepositoryModelUnload(request, timeout=PATIENCE_S)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        header = (("authorization", "Bearer a-secret-of-sixteen"),)
        each[0].RepositoryModelUnload(request, timeout=PATIENCE_S, metadata=header)


def test_tls_is_shared_too(store: Store) -> None:
    store.promote("digits")
    authority = Authority(store.directory)
    pair = authority.issue("server")
    options = ("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key))
    credentials = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
    with several(store, *options) as it, stubs(it.port, credentials) as each:
        assert {infer(stub) for stub in each} == {"1"}
        assert 0 < it.answered_each()[0] < it.answered() == NUM_CHANNELS


def test_sigterm_lets_requests_finish_and_ends_all_with_0(store: Store) -> None:
    store.promote("digits")
    with process(store, "--processes", "2") as it:
        port = it.wait_for(r"2 processes share 127\.0\.0\.1:(\d+)")[1]
        it.wait_for("ready: 1 models serve")
        it.wait_for("ready: 1 models serve")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            call = stub.ModelInfer.future(raw_request("digits", np.array([[SLOW * 1.9, 0, 0]], np.float32)))
            stub.ServerLive(pb.ServerLiveRequest(), timeout=PATIENCE_S)  # the same connection keeps the order
            it.popen.send_signal(signal.SIGTERM)
            assert call.result(timeout=PATIENCE_S).model_version == "1"
        assert it.popen.wait(PATIENCE_S) == 0


def test_a_killed_parent_leaves_no_process(store: Store) -> None:
    with process(store, "--processes", "2") as it:
        it.wait_for("ready: ")
        it.wait_for("ready: ")
        children = Several(it, 0, 0, 0).places()
        it.popen.kill()
        eventually(lambda: not any(Path(f"/proc/{each}/status").exists() for each in children))


@pytest.mark.parametrize(
    ("option", "purpose"), [("--port", "gRPC"), ("--rest-port", "REST"), ("--metrics-port", "metrics")]
)
@pytest.mark.parametrize("shares", [False, True])
def test_a_taken_port_is_one_clear_line_and_exit_1(store: Store, option: str, purpose: str, *, shares: bool) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=shares) as taken:
        port = str(taken.getsockname()[1])
        command = [*COMMAND, "--processes", "2", option, port]
        result = subprocess.run(
            command, env=environment(store.uri), capture_output=True, text=True, timeout=60, check=False
        )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"error: cannot listen on 127.0.0.1:{port} for {purpose}: is something else running there?"
    ]


def test_a_new_database_is_made_once(store: Store) -> None:
    uri = f"sqlite:///{store.directory}/new.db"
    with process(store, "--processes", "2", uri=uri) as it:
        it.wait_for("ready: 0")
        it.wait_for("ready: 0")
        assert not any("started again" in line for line in it.log)


def test_settings_that_do_not_fit_end_all_with_2(store: Store) -> None:
    command = [*COMMAND, "--processes", "2", "--tokens-file", str(store.directory / "missing")]
    result = subprocess.run(
        command, env=environment(store.uri), capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "error: tokens_file" in result.stderr
