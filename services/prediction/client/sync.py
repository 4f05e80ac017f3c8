"""The synchronous client: carries out the flows of `dialogue.py`, one step after the other. Threads may share it."""

import time
from collections.abc import Sequence
from typing import Self, TypeVar

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


class PredictionClient:
    """Asks one prediction service, over one connection. What it raises is in `services.prediction.client.errors`."""

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
        self._channel = self._endpoint.open()
        self._stub = GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection for good, and the calls under way with ClosedError."""
        self._closed = True
        self._channel.close()

    def is_live(self) -> bool:
        """Whether the process answers now; False too where nobody does."""
        return self._run(self._dialogue.is_live())

    def is_ready(self) -> bool:
        """Whether the service is ready now; False too where nobody answers."""
        return self._run(self._dialogue.is_ready())

    def is_model_ready(self, model: str, version: str = "") -> bool:
        """Whether the model (by default its champion) would answer now; False too where it is unknown."""
        return self._run(self._dialogue.is_model_ready(model, version))

    def server_metadata(self) -> ServerMetadata:
        """Name and version of the service, and what works there beyond the protocol."""
        return self._run(self._dialogue.server_metadata())

    def metadata(self, model: str, version: str = "") -> ModelMetadata:
        """What the model (by default its champion) takes and gives, as the service says now."""
        return self._run(self._dialogue.metadata(model, version))

    def index(self, *, ready_only: bool = False) -> tuple[IndexEntry, ...]:
        """The known models with their state."""
        return self._run(self._dialogue.index(ready_only=ready_only))

    def predict(
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
        """Predict for one array or list of rows, a dict of arrays by input, or columns by feature (DataFrame, dicts).

        `outputs` names those wanted, by default all. `timeout_s` bounds everything: metadata, attempts and pauses.
        `priority` 1 comes first. Data that does not fit raises InvalidDataError before it is sent.
        """
        ask = Ask(model, version, data, outputs, request_id, priority)
        return self._run(self._dialogue.predict(ask, timeout_s))

    def _run(self, flow: Flow[T]) -> T:
        step = advance(flow, None)
        while not isinstance(step, Done):
            step = advance(flow, self._perform(step))
        return step.result

    def _perform(self, step: Call | Pause) -> object:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if self._closed:
            raise ClosedError
        method = getattr(self._stub, step.method)
        try:
            return method(step.request, timeout=step.timeout_s, metadata=self._endpoint.metadata)
        except grpc.RpcError as error:
            return error
