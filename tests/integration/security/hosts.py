"""Both services with real servers, and calls of any of their methods as raw bytes: what counts is who gets through."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import grpc

from pipelines.home import mlflow_client, tracking_uri
from pipelines.registry.model_registry import ModelRegistry
from services.prediction import server as prediction
from services.prediction.settings import Settings as PredictionSettings
from services.training import server as training
from services.training.settings import Settings as TrainingSettings

Code = grpc.StatusCode

HEALTH = "/grpc.health.v1.Health/Check"
METADATA = "/inference.GRPCInferenceService/ServerMetadata"
LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"


class Server(Protocol):
    """What the two servers have in common."""

    @property
    def port(self) -> int: ...

    async def start(self) -> None: ...

    async def stop(self, grace_s: float) -> None: ...


def build(service: str, **settings: object) -> Server:
    """A server of one of the services on the store at DRIVETRAIN_HOME; the training service's Ray is away."""
    values = {"port": 0, "metrics_port": 0, **({"rest_port": 0} if service == "prediction" else {})} | settings
    if service == "prediction":
        registry = ModelRegistry(mlflow_client(), tracking_uri())
        return prediction.build(PredictionSettings.model_validate(values | {"poll_interval_s": 0.05}), registry)
    away = {"ray_dashboard": "http://127.0.0.1:9"}
    return training.build(TrainingSettings.model_validate(values | away), mlflow_client())


@asynccontextmanager
async def hosting(service: str, **settings: object) -> AsyncIterator[str]:
    """The address of a running server."""
    server = build(service, **settings)
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop(grace_s=1)


class TokensFile:
    """A tokens file that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lines(self) -> list[str]:
        """What it holds."""
        return self.path.read_text().splitlines()

    def write(self, *lines: str) -> None:
        """Put these lines in the place of all that it holds."""
        self.path.write_text("".join(f"{line}\n" for line in lines))


class Files:
    """PEM files as a client needs them."""

    def __init__(self, ca: Path, pair: tuple[Path, Path] | None = None) -> None:
        self.ca, self.pair = ca, pair

    def credentials(self) -> grpc.ChannelCredentials:
        """What a channel is opened with."""
        chain, key = (path.read_bytes() for path in self.pair) if self.pair else (None, None)
        return grpc.ssl_channel_credentials(self.ca.read_bytes(), key, chain)


def open_channel(address: str, files: Files | None = None) -> grpc.aio.Channel:
    """A channel of its own connection: gRPC would let channels with the same options share one."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if files is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, files.credentials(), options)


async def status_of(
    channel: grpc.aio.Channel, method: str, token: str = "", metadata: Sequence[tuple[str, str]] = ()
) -> grpc.StatusCode:
    """What becomes of a call with an empty message; OK as soon as there is an answer.

    On the wire a single message is the same as a stream of one, so one kind of call does for all methods. This kind
    sends all it has at once: grpc.aio's streams fail by themselves where the refusal is faster than the message.
    """
    sent = [*metadata, ("authorization", f"Bearer {token}")] if token else [*metadata]
    kind: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method)
    call = kind(b"", timeout=20, metadata=sent)
    try:
        if await call.read() is not grpc.aio.EOF:
            return Code.OK
        return await call.code()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()


async def asked(address: str, files: Files | None = None, method: str = HEALTH, token: str = "") -> grpc.StatusCode:
    """What becomes of a call over a new connection."""
    async with open_channel(address, files) as channel:
        return await status_of(channel, method, token)
