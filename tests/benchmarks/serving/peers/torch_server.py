"""The server that most people would write: grpc.aio, and torch in the handler.

    python -m tests.benchmarks.serving.peers.torch_server FOLDER PORT

FOLDER holds a registered version, whose spec and weights become the torch module again.
"""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import asyncio
import sys
from pathlib import Path

import grpc
import numpy as np
import torch
from safetensors.torch import load_file

from pipelines.data.loading import load_dataset
from pipelines.export.graph import Predictor, build_predictor
from pipelines.models.network import build_network
from pipelines.registry.package import SPEC_FILE, WEIGHTS_FILE
from pipelines.spec_file import load_spec
from services.prediction.pb import open_inference_pb2 as pb

DATATYPES = {torch.float32: "FP32", torch.int64: "INT64"}


def rebuild(package: Path) -> Predictor:
    """The torch module that the version's graph was exported from."""
    spec = load_spec(str(package / SPEC_FILE))
    dataset = load_dataset(spec)
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, spec.seed)
    network.load_state_dict(load_file(package / WEIGHTS_FILE))
    return build_predictor(network, dataset)


def torch_handler(predictor: Predictor) -> grpc.RpcMethodHandler[pb.ModelInferRequest, pb.ModelInferResponse]:
    """ModelInfer answered with torch, one request at a time."""

    async def model_infer(request: pb.ModelInferRequest, _: object) -> pb.ModelInferResponse:
        rows = np.frombuffer(bytearray(request.raw_input_contents[0]), np.float32).reshape(request.inputs[0].shape)
        with torch.inference_mode():
            answers = predictor(torch.from_numpy(rows))
        response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        for name, answer in zip(predictor.outputs, answers, strict=True):
            response.outputs.add(name=name, datatype=DATATYPES[answer.dtype], shape=answer.shape)
            response.raw_output_contents.append(answer.numpy().tobytes())
        return response

    return grpc.unary_unary_rpc_method_handler(
        model_infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
    )


async def serve(package: Path, port: int) -> None:
    """Serve until terminated."""
    torch.set_num_threads(1)
    server = grpc.aio.server()
    methods = {"ModelInfer": torch_handler(rebuild(package))}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
