"""Encoded images through a real server: what a PNG shows is what the graph gets."""

import grpc
import numpy as np
import onnx
import pytest
from onnx import helper

from pipelines.registry.manifest import Image, Tensor
from pipelines.registry.package import Golden
from services.prediction.bytes_tensor import join
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import manifest
from tests.unit.prediction.test_images import png

pytestmark = pytest.mark.usefixtures("each_transport")

SIDE = 256
PIXELS = np.random.default_rng(3).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)


def promote_identity(store: Store) -> None:
    shape = (-1, 3, SIDE, SIDE)
    x = Tensor(name="pixels", datatype="FP32", shape=shape, image=Image(white=1))
    y = Tensor(name="same", datatype="FP32", shape=shape)
    described = manifest("pictures").model_copy(update={"labels": (), "inputs": (x,), "outputs": (y,)})
    dims: list[str | int] = ["batch", *shape[1:]]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims) for name in ("pixels", "same")]
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["same"])], "identity", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    zeros = np.zeros((2, *shape[1:]), np.float32)
    version = store.register(
        "pictures", graph=model, recorded=Golden({"pixels": zeros}, {"same": zeros}), described=described
    )
    store.registry.promote("pictures", version)


def asking(elements: list[bytes]) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="pictures", raw_input_contents=[join(elements)])
    request.inputs.add(name="pixels", datatype="BYTES", shape=[len(elements)])
    return request


async def test_a_png_is_the_values_that_it_shows(store: Store) -> None:
    promote_identity(store)
    async with serving(store.registry) as it:
        answer = await it.stub.ModelInfer(asking([png(each) for each in PIXELS]))
        config = (await it.stub.ModelConfig(pb.ModelConfigRequest(name="pictures"))).config
        metadata = await it.stub.ModelMetadata(pb.ModelMetadataRequest(name="pictures"))
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.ModelInfer(asking([png(PIXELS[0, :100])]))
    came = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(answer.outputs[0].shape)
    np.testing.assert_array_equal(came, PIXELS.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    assert config.input[0].format == pb.ModelInput.FORMAT_NCHW
    assert metadata.properties["encoded_images"] == '{"pixels": "RGB 256x256 (width x height)"}'
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == (
        "inputs[pixels], image 0: expected RGB 256x256 (width x height), came RGB 256x100"
    )
