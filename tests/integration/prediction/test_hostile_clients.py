"""Clients that send without end: they are stopped, and the others notice nothing."""

import asyncio
import sys

from services.prediction.flood_guard import resident_bytes
from tests.integration.prediction.serving import raw_request, serving
from tests.integration.prediction.store import Store

METHOD = "/inference.GRPCInferenceService/ModelInfer"
MIB = 2**20


async def test_an_endless_message_costs_its_sender_the_connection_and_nobody_else(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, transport="native", max_pending_bytes=32 * MIB) as it:
        before, peak = resident_bytes(), 0
        sender = await asyncio.create_subprocess_exec(*flood(it.server.port, 400 * MIB))
        while sender.returncode is None:
            peak = max(peak, resident_bytes())
            assert (await it.stub.ModelInfer(raw_request("digits"), timeout=10)).model_version == "1"
        assert await sender.wait() == 0
    assert (peak - before) < 250 * MIB


def flood(port: int, size_bytes: int) -> list[str]:
    """A process that sends one message of that size and expects to be cut off, not answered."""
    code = f"""
import grpc
channel = grpc.insecure_channel("127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)])
try:
    channel.unary_unary("{METHOD}")(bytes({size_bytes}), timeout=60)
except grpc.RpcError as error:
    assert error.code() is grpc.StatusCode.UNAVAILABLE, error
else:
    raise SystemExit("it was answered")
"""
    return [sys.executable, "-c", code]
