"""Serving speed against a plain grpc.aio server with torch in its handler, asked by one and the same client.

    python -m tests.benchmarks.serving

Two processes on loopback, interleaved, medians. The Python client shares the cores and is slower than either server can
be, so the ratios understate the difference.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from rich.console import Console
from rich.table import Table

from services.cli.demo import prediction_service
from services.prediction.client import PredictionClient
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc

RECIPE = "digits-mlp"
REPETITIONS = 3
SECONDS = 3.0
IN_FLIGHT = (1, 64)


async def requests_per_second(address: str, in_flight: int) -> float:
    """How many one-row requests a second are answered while `in_flight` are always under way."""
    row = np.zeros((1, 64), np.float32)
    request = pb.ModelInferRequest(model_name=RECIPE, raw_input_contents=[row.tobytes()])
    request.inputs.add(name="features", datatype="FP32", shape=row.shape)
    answered = 0
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        deadline = time.perf_counter() + SECONDS

        async def ask() -> None:
            nonlocal answered
            while time.perf_counter() < deadline:
                response = await stub.ModelInfer(request)
                assert response.outputs[0].shape == [1, 10]
                answered += 1

        await asyncio.gather(*(ask() for _ in range(in_flight)))
    return answered / SECONDS


@contextmanager
def peer() -> Iterator[str]:
    """The plain server as a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.peer_server", RECIPE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def train() -> None:
    """A model to serve; its weights don't matter here."""
    arguments = ["train", RECIPE, "--set", "training.epochs=1"]
    subprocess.run([sys.executable, "-m", "services.cli", *arguments], check=True)


def main() -> None:
    """Measure and print the table."""
    with TemporaryDirectory() as home:
        os.environ["DRIVETRAIN_HOME"] = home
        train()
        with prediction_service() as ours, peer() as theirs, PredictionClient(ours) as client:
            while not client.is_model_ready(RECIPE):
                time.sleep(0.1)
            table = Table(
                "one-row requests in flight", "grpc.aio + torch, req/s", "Drivetrain, req/s", "ratio", box=None
            )
            for in_flight in IN_FLIGHT:
                runs = [
                    [asyncio.run(requests_per_second(address, in_flight)) for address in (theirs, ours)]
                    for _ in range(REPETITIONS)
                ]
                slow, fast = (statistics.median(column) for column in zip(*runs, strict=True))
                table.add_row(str(in_flight), f"{slow:,.0f}", f"{fast:,.0f}", f"{fast / slow:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
