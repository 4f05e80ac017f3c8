"""A client of the prediction service, as small as the commands need it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, cast

import grpc
import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype
from services.cli.errors import InputError, ServiceError
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub

_USER_STATUSES = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)


@dataclass(frozen=True)
class Description:
    """What the service says of a model."""

    version: str
    input_name: str
    row_shape: tuple[int, ...]
    """-1 marks an open axis."""
    feature_names: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Outputs by name, first axis the row, and the version that gave them."""

    version: str
    outputs: dict[str, NDArray[np.generic]]


class PredictionClient:
    """Asks one prediction service. Every method raises ServiceError, or InputError where the request was wrong."""

    def __init__(self, address: str, timeout_s: float = 30.0) -> None:
        self._address, self._timeout_s = address, timeout_s
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self._stub = GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def is_ready(self, model: str, version: str = "") -> bool:
        """Whether the model, in that version if one is given, would answer now."""
        try:
            return self._stub.ModelReady(
                pb.ModelReadyRequest(name=model, version=version), timeout=self._timeout_s
            ).ready
        except grpc.RpcError:
            return False

    def describe(self, model: str, version: str = "") -> Description:
        """The model's metadata."""
        with self._translated():
            metadata = self._stub.ModelMetadata(
                pb.ModelMetadataRequest(name=model, version=version), timeout=self._timeout_s
            )
        return Description(
            version=metadata.versions[0],
            input_name=metadata.inputs[0].name,
            row_shape=tuple(metadata.inputs[0].shape[1:]),
            feature_names=tuple(json.loads(metadata.properties.get("feature_names", "[]"))),
            labels=tuple(json.loads(metadata.properties.get("labels", "[]"))),
        )

    def infer(self, model: str, input_name: str, rows: NDArray[np.float32], version: str = "") -> Answer:
        """Predict rows (N, *row)."""
        tensor = pb.ModelInferRequest.InferInputTensor(name=input_name, datatype="FP32", shape=rows.shape)
        request = pb.ModelInferRequest(
            model_name=model,
            model_version=version,
            inputs=[tensor],
            raw_input_contents=[np.ascontiguousarray(rows, "<f4").tobytes()],
        )
        with self._translated():
            response = self._stub.ModelInfer(request, timeout=self._timeout_s)
        outputs = {
            output.name: np.frombuffer(raw, NUMPY_DTYPES[cast(Datatype, output.datatype)]).reshape(output.shape)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        return Answer(response.model_version, outputs)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            status, details = error.code(), error.details()
            if status in _USER_STATUSES:
                raise InputError(f"the prediction service refused the request: {details}") from error
            if status is grpc.StatusCode.UNAVAILABLE and "connect" in str(details):
                message = f"no prediction service answers at {self._address}; start one with: drivetrain serve"
                raise ServiceError(message) from error
            raise ServiceError(f"the prediction service answered {status.name}: {details}") from error
