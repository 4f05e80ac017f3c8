"""A real server on free ports with a real generated stub on it."""

from __future__ import annotations  # the asynchronous stub exists in the checker only

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub
from services.prediction.server import PredictionServer, build
from services.prediction.settings import Settings
from services.prediction.sources import Registry
from tests.unit.prediction.graphs import FloatArray
from tests.waiting import eventually_async

if TYPE_CHECKING:
    from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceAsyncStub

ROW = np.array([[0.25, -0.5, 1.0]], np.float32)
Metadata = Sequence[tuple[str, str]]

DEFAULTS: dict[str, object] = {"port": 0, "metrics_port": 0, "poll_interval_s": 0.02, "rest": False}
"""Settings of every server here that does not say otherwise."""


@dataclass
class Serving:
    """A running server and a client of it."""

    server: PredictionServer
    channel: grpc.aio.Channel
    stub: GRPCInferenceServiceAsyncStub

    async def index(self) -> list[tuple[str, str, str]]:
        """Name, version and state of what the server knows."""
        answer = await self.stub.RepositoryIndex(pb.RepositoryIndexRequest())
        return [(row.name, row.version, row.state) for row in answer.models]

    async def reason(self, model: str, version: str) -> str:
        """Why the index says that the version is not served; empty if it is, or is not listed."""
        rows = (await self.stub.RepositoryIndex(pb.RepositoryIndexRequest())).models
        return "".join(
            row.reason for row in rows if (row.name, row.version) == (model, version) and row.state != "READY"
        )

    async def described(self, model: str, version: str) -> str:
        """What the index says that the version is served for; empty if it is not served."""
        rows = (await self.stub.RepositoryIndex(pb.RepositoryIndexRequest())).models
        return "".join(row.reason for row in rows if (row.name, row.version, row.state) == (model, version, "READY"))

    async def load(self, model: str, metadata: Metadata = ()) -> None:
        """Ask the server to read the model's champion now."""
        await self.stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name=model), metadata=metadata)

    async def is_healthy(self, service: str = "") -> bool:
        """Whether the standard health service says SERVING."""
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(service=service))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def scrape(self) -> str:
        """The metrics page."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.metrics_port)
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        page = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        return page


@asynccontextmanager
async def serving(source: Registry, *, ready: bool = True, **settings: object) -> AsyncIterator[Serving]:
    """A server over `source`; `ready` waits for its first look at the registry."""
    server = build(Settings.model_validate(DEFAULTS | settings), source)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = GRPCInferenceServiceStub(channel)
            started = Serving(server, channel, stub)
            if ready:
                await eventually_async(lambda: _is_ready(stub))
            yield started
    finally:
        await server.stop(grace_s=5)


def raw_request(model: str, features: FloatArray = ROW, version: str = "") -> pb.ModelInferRequest:
    """A request with the features as raw contents, as tritonclient sends it."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, raw_input_contents=[features.tobytes()])
    request.inputs.add(name="features", datatype="FP32", shape=features.shape)
    return request


def typed_request(model: str, features: FloatArray = ROW) -> pb.ModelInferRequest:
    """A request with the features as typed contents."""
    request = pb.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name="features", datatype="FP32", shape=features.shape)
    tensor.contents.fp32_contents.extend(features.ravel().tolist())
    return request


def raw_probabilities(answer: pb.ModelInferResponse) -> FloatArray:
    """The first output of a raw answer, `(rows, 2)`."""
    return np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)


async def asked(*command: str) -> dict[str, Any]:
    """What a client that is a program of its own prints, as JSON."""
    client = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()
    answers: dict[str, Any] = json.loads(out)
    return answers


async def _is_ready(stub: GRPCInferenceServiceAsyncStub) -> bool:
    return (await stub.ServerReady(pb.ServerReadyRequest())).ready
