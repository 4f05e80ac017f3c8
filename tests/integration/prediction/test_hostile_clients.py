"""A client that sends without end: it is cut off, and the others notice nothing."""

import subprocess
import sys

import grpc
import numpy as np

from services.prediction.flood_guard import resident_bytes
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.integration.prediction.serving import raw_request
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_process import process

MIB = 2**20
LIMITS = ("--max-pending-bytes", str(32 * MIB), "--max-message-bytes", str(8 * MIB))


def test_an_endless_message_costs_its_sender_the_connection_and_nobody_else(store: Store) -> None:
    store.promote("digits")
    with process(store, "--transport", "native", *LIMITS) as it:
        port = int(it.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
        it.wait_for("ready: 1 models serve")
        before = peak = resident_bytes(it.popen.pid)
        with (
            grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
            subprocess.Popen(flood(port, 600 * MIB), stderr=subprocess.PIPE, text=True) as sender,
        ):
            stub = GRPCInferenceServiceStub(channel)
            while sender.poll() is None:
                peak = max(peak, resident_bytes(it.popen.pid))
                assert stub.ModelInfer(raw_request("digits"), timeout=30).model_version == "1"
            _, errors = sender.communicate()
        assert sender.returncode == 0, errors
        it.wait_for("its messages took too much memory")
    assert peak - before < 500 * MIB


def test_large_requests_of_many_parts_are_answered_beside_each_other(store: Store) -> None:
    store.promote("digits")
    rows = np.zeros((200_000, 3), np.float32)  # 2.4 MB
    with process(store, "--transport", "native", *LIMITS, "--max-request-rows", "1000000") as it:
        port = int(it.wait_for(r"listening on 127\.0\.0\.1:(\d+)")[1])
        it.wait_for("ready: 1 models serve")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            for _ in range(3):
                calls = [stub.ModelInfer.future(raw_request("digits", rows), timeout=60) for _ in range(4)]
                assert {(call.code(), call.details()) for call in calls} == {(grpc.StatusCode.OK, "")}


def flood(port: int, size_bytes: int) -> list[str]:
    """A process that sends one message of that size and expects to be cut off, not answered."""
    code = f"""
import grpc
channel = grpc.insecure_channel("127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)])
try:
    channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(bytes({size_bytes}), timeout=60)
except grpc.RpcError as error:
    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
else:
    raise SystemExit("it was answered")
"""
    return [sys.executable, "-c", code]
