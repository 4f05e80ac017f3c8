"""The Open Inference Protocol on gRPC: each method decodes, calls the data plane, and encodes."""

from importlib.metadata import version

from typing_extensions import override

from services.prediction.codec import decode, encode, options_of
from services.prediction.data_plane import DataPlane
from services.prediction.description import model_metadata, repository_index
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.pb import open_inference_pb2_grpc as pb_grpc
from services.rpc.authorization import Policy
from services.rpc.errors import InvalidRequestError
from services.rpc.status import Context

EXTENSIONS = ["model_repository"]

POLICY = Policy(
    service="inference.GRPCInferenceService",
    lower="infer",
    higher="admin",
    open_methods=frozenset({"ServerLive", "ServerReady"}),
    lower_methods=frozenset({"ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer", "RepositoryIndex"}),
)


class Servicer(pb_grpc.GRPCInferenceServiceServicer):
    """GRPCInferenceService over a data plane."""

    def __init__(self, plane: DataPlane, max_request_rows: int) -> None:
        self._plane, self._max_request_rows = plane, max_request_rows

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
    async def ModelInfer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        """Validate, batch, run."""
        with self._plane.request(request.model_name, request.model_version) as served:
            inference = decode(request, served.manifest, self._max_request_rows)
            options = options_of(request)
            deadline_s = options.deadline_s(context.time_remaining())
            outputs = await served.batcher.infer(inference.inputs, inference.num_rows, deadline_s, options.priority)
            return encode(request, served.version, served.manifest, inference, outputs)

    @override
    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Context) -> pb.RepositoryIndexResponse:
        """Every known model; with `ready`, only what answers."""
        return repository_index(self._plane.index(ready_only=request.ready))

    @override
    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Serve what the registry's aliases name now, or the parameter `version` besides."""
        version = request.parameters["version"]
        if len(request.parameters) > 1 or version.WhichOneof("parameter_choice") not in {None, "string_param"}:
            raise InvalidRequestError(
                "parameters", "none but the string version", str(sorted(request.parameters))[:256]
            )
        await self._plane.load(request.model_name, version.string_param)
        return pb.RepositoryModelLoadResponse()
