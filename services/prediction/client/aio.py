"""The asynchronous client: carries out the flows of `dialogue.py` without blocking the event loop."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import grpc

from services.prediction.client.channel import MAX_MESSAGE_BYTES, Endpoint, Tls
from services.prediction.client.description import IndexEntry, ModelMetadata, ServerMetadata
from services.prediction.client.dialogue import Dialogue
from services.prediction.client.errors import ClosedError
from services.prediction.client.inputs import Data
from services.prediction.client.messages import Ask, Prediction
from services.prediction.client.retry import RetryPolicy
from services.prediction.client.steps import Call, Done, Flow, Pause, advance
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub

T = TypeVar("T")


class AsyncPredictionClient:
    """`PredictionClient` for asyncio: the same methods and errors. It belongs to the event loop that first uses it."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        timeout_s: float = 30.0,
        *,
        tls: Tls | None = None,
        retry: RetryPolicy | None = None,
        max_send_bytes: int = MAX_MESSAGE_BYTES,
        max_receive_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._endpoint = Endpoint(address, token, tls, max_send_bytes, max_receive_bytes)
        self._dialogue = Dialogue(address, timeout_s, retry or RetryPolicy())
        self._closed = False
        self._channel: grpc.aio.Channel | None = None
        self._stub: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection for good, and the calls under way with ClosedError."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def is_live(self) -> bool:
        """Whether the process answers now; False too where nobody does."""
        return await self._run(self._dialogue.is_live())

    async def is_ready(self) -> bool:
        """Whether the service is ready now; False too where nobody answers."""
        return await self._run(self._dialogue.is_ready())

    async def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether the model (by default its champion) would answer now; False too where it is unknown."""
        return await self._run(self._dialogue.is_model_ready(model, version))

    async def server_metadata(self) -> ServerMetadata:
        """Name and version of the service, and what works there beyond the protocol."""
        return await self._run(self._dialogue.server_metadata())

    async def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """What the model (by default its champion) takes and gives, as the service says now."""
        return await self._run(self._dialogue.metadata(model, version))

    async def index(self, *, ready_only: bool = False) -> tuple[IndexEntry, ...]:
        """The known models with their state."""
        return await self._run(self._dialogue.index(ready_only=ready_only))

    async def predict(
        self,
        model: str,
        data: Data,
        version: str = "",
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
        priority: int | None = None,
    ) -> Prediction:
        """Predict, as `PredictionClient.predict` does."""
        ask = Ask(model, version, data, outputs, request_id, priority)
        return await self._run(self._dialogue.predict(ask, timeout_s))

    async def _run(self, flow: Flow[T]) -> T:
        step = advance(flow, None)
        while not isinstance(step, Done):
            step = advance(flow, await self._perform(step))
        return step.result

    async def _perform(self, step: Call | Pause) -> object:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        if self._closed:
            raise ClosedError
        if self._channel is None:  # not before there is an event loop
            self._channel = self._endpoint.open_aio()
            self._stub = GRPCInferenceServiceStub(self._channel)
        method = getattr(self._stub, step.method)
        try:
            return await method(step.request, timeout=step.timeout_s, metadata=self._endpoint.metadata)
        except grpc.RpcError as error:
            return error
        except asyncio.CancelledError:
            if self._closed and not _is_cancelled():  # closing the channel looks to gRPC as if the task was cancelled
                raise ClosedError from None
            raise


def _is_cancelled() -> bool:
    """Whether somebody wants the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
