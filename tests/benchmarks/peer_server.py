"""The server that most people would write: grpc.aio, and torch in the handler. The peer of the serving benchmark."""

from __future__ import annotations  # grpc's classes take type parameters in the checker only

import asyncio
import sys

import grpc
import numpy as np
import torch

from pipelines.data.loading import load_dataset
from pipelines.export.graph import build_predictor
from pipelines.models.network import build_network
from pipelines.spec_file import load_spec
from services.prediction.pb import open_inference_pb2 as pb


def torch_handler(recipe: str) -> grpc.RpcMethodHandler[pb.ModelInferRequest, pb.ModelInferResponse]:
    """ModelInfer answered with torch, one request at a time."""
    spec = load_spec(recipe)
    dataset = load_dataset(spec)
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, spec.seed)
    predictor = build_predictor(network, dataset)

    async def model_infer(request: pb.ModelInferRequest, _: object) -> pb.ModelInferResponse:
        rows = np.frombuffer(bytearray(request.raw_input_contents[0]), np.float32).reshape(request.inputs[0].shape)
        with torch.inference_mode():
            probabilities = predictor(torch.from_numpy(rows))[0].numpy()
        response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        response.outputs.add(name="probabilities", datatype="FP32", shape=probabilities.shape)
        response.raw_output_contents.append(probabilities.tobytes())
        return response

    return grpc.unary_unary_rpc_method_handler(
        model_infer, pb.ModelInferRequest.FromString, pb.ModelInferResponse.SerializeToString
    )


async def serve(recipe: str) -> None:
    """Listen on a free port, print it, and serve until terminated."""
    torch.set_num_threads(1)
    server = grpc.aio.server()
    methods = {"ModelInfer": torch_handler(recipe)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
