"""A client of the prediction service, as small as the commands need it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype
from services.cli.connection import CALL_TIMEOUT_S, Connection, Service
from services.cli.errors import InputError, TransientError
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub

T = TypeVar("T")

SERVICE = Service("prediction", "inference.GRPCInferenceService", "start one with: drivetrain serve")


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

    def __init__(self, address: str, timeout_s: float = CALL_TIMEOUT_S, *, plain: bool = False) -> None:
        self._connection, self._timeout_s = Connection(SERVICE, address, plain=plain), timeout_s
        self._stub = GRPCInferenceServiceStub(self._connection.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.channel.close()

    def server_version(self) -> str:
        """Version of Drivetrain that serves."""
        return self._call(self._stub.ServerMetadata, pb.ServerMetadataRequest()).version

    def is_ready(self, model: str, version: str = "") -> bool:
        """Whether the model, in that version if one is given, would answer now."""
        try:
            return self._call(self._stub.ModelReady, pb.ModelReadyRequest(name=model, version=version)).ready
        except (InputError, TransientError):
            return False

    def describe(self, model: str, version: str = "") -> Description:
        """The model's metadata."""
        metadata = self._call(self._stub.ModelMetadata, pb.ModelMetadataRequest(name=model, version=version))
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
        response = self._call(self._stub.ModelInfer, request)
        outputs = {
            output.name: np.frombuffer(raw, NUMPY_DTYPES[cast(Datatype, output.datatype)]).reshape(output.shape)
            for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        return Answer(response.model_version, outputs)

    def _call(self, method: Callable[..., T], request: object) -> T:
        return self._connection.call(method, request, self._timeout_s)
