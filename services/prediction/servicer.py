"""The Open Inference Protocol on gRPC: each method decodes, calls the data plane, and encodes."""

from __future__ import annotations  # the type of a stream's requests exists in the checker only

import asyncio
from contextlib import aclosing
from importlib.metadata import version
from typing import TYPE_CHECKING

from typing_extensions import override

from services.prediction.codec import Inference, decode, encode, takes_long
from services.prediction.configuration import Scheduling, model_config
from services.prediction.data_plane import DataPlane
from services.prediction.description import model_metadata, repository_index, statistics
from services.prediction.options import alias_of, options_of, routing_key_of, version_of
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc
from services.prediction.streaming import Streams
from services.rpc.authorization import Policy
from services.rpc.status import Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipelines.registry.manifest import Manifest

EXTENSIONS = [
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
]

POLICY = Policy(
    service="inference.GRPCInferenceService",
    lower="infer",
    higher="admin",
    open_methods=frozenset({"ServerLive", "ServerReady"}),
    lower_methods=frozenset(
        {"ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex"}
        | {"ModelInfer", "ModelStreamInfer"}
    ),
)


class Servicer(pb_grpc.GRPCInferenceServiceServicer):
    """GRPCInferenceService over a data plane."""

    def __init__(self, plane: DataPlane, scheduling: Scheduling, streams: Streams, max_request_rows: int) -> None:
        self._plane, self._scheduling, self._streams = plane, scheduling, streams
        self._max_request_rows = max_request_rows

    @override
    async def ServerLive(self, request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
        """Live as soon as it answers."""
        return pb.ServerLiveResponse(live=True)

    @override
    async def ServerReady(self, request: pb.ServerReadyRequest, context: Context) -> pb.ServerReadyResponse:
        """Ready after the first look at the registry."""
        return pb.ServerReadyResponse(ready=self._plane.ready)

    @override
    async def ModelReady(self, request: pb.ModelReadyRequest, context: Context) -> pb.ModelReadyResponse:
        """Whether the model would answer."""
        return pb.ModelReadyResponse(ready=self._plane.model_ready(request.name, request.version))

    @override
    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Context) -> pb.ServerMetadataResponse:
        """Name, version and what works beyond the protocol."""
        return pb.ServerMetadataResponse(name="drivetrain", version=version("drivetrain"), extensions=EXTENSIONS)

    @override
    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Context) -> pb.ModelMetadataResponse:
        """What the model takes and gives."""
        return model_metadata(self._plane.model(request.name, request.version))

    @override
    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Context) -> pb.ModelConfigResponse:
        """How the model is set up to run."""
        served = self._plane.model(request.name, request.version)
        return pb.ModelConfigResponse(config=model_config(served, self._scheduling))

    @override
    async def ModelStatistics(self, request: pb.ModelStatisticsRequest, context: Context) -> pb.ModelStatisticsResponse:
        """What the model, or every model, has done."""
        return statistics(self._plane.served(request.name, request.version))

    @override
    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Validate, batch, run."""
        return await self._infer(request, context.time_remaining())

    @override
    async def ModelStreamInfer(
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """The same for each message, in their order, until the client has no more."""
        answers = self._streams.answers(request_iterator, lambda each: self._infer(each, context.time_remaining()))
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    @override
    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        """Every known model; with `ready`, only what answers."""
        return repository_index(self._plane.index(ready_only=request.ready))

    @override
    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Serve what the registry's aliases name now, or the parameter `version` besides."""
        version = version_of(request.parameters, also=())
        await self._plane.load(request.model_name, version)
        return pb.RepositoryModelLoadResponse()

    @override
    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Serve nothing of the model, or not the version that the parameter names."""
        version = version_of(request.parameters, also=("unload_dependents",))
        await self._plane.unload(request.model_name, version)
        return pb.RepositoryModelUnloadResponse()

    async def _infer(self, request: pb.ModelInferRequest, remaining_s: float | None) -> pb.ModelInferResponse:
        alias, key = alias_of(request), routing_key_of(request)
        with self._plane.request(request.model_name, request.model_version, alias, key) as served:
            options = options_of(request)
            inference = await self._decode(request, served.manifest)
            deadline_s = options.deadline_s(remaining_s)
            outputs = await served.batcher.infer(inference.inputs, inference.num_rows, deadline_s, options.priority)
            return encode(request, served.version, served.manifest, inference, outputs)

    async def _decode(self, request: pb.ModelInferRequest, manifest: Manifest) -> Inference:
        if takes_long(request, manifest):
            return await asyncio.to_thread(decode, request, manifest, self._max_request_rows)
        return decode(request, manifest, self._max_request_rows)
