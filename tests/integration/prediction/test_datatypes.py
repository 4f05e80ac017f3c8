"""Every datatype through a real server and onnxruntime: what goes in comes out of an identity, to the last bit."""

import math

import grpc
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from pipelines.registry.manifest import NUMPY_DTYPES, Datatype, Manifest, Tensor
from pipelines.registry.package import Golden
from services.prediction.contents import CONTENTS_FIELDS, fill, raw, to_array
from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import manifest

pytestmark = pytest.mark.usefixtures("each_transport")

FLOATS = [0.0, -0.0, 1.5, math.nan, math.inf, -math.inf]
TEXTS = ["", "plain", "a\0b", "ends in \0", "naïve 日本語 😀", "x" * 70_000]


def extremes(datatype: Datatype) -> NDArray[np.generic]:
    """Six values `(3, 2)` at the datatype's edges."""
    dtype = NUMPY_DTYPES[datatype]
    if datatype == "BYTES":
        values = np.array(TEXTS, object)
    elif datatype == "BOOL":
        values = np.array([True, False, False, True, True, True])
    elif dtype.kind == "f":
        values = np.array([*FLOATS[:-2], np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal], dtype)
        values[:2] = math.inf, -math.inf
    else:
        limits = np.iinfo(dtype)
        values = np.array([limits.min, limits.max, 0, 1, limits.max - 1, limits.min + 1], dtype)
    return values.reshape(3, 2)


def described(datatype: Datatype) -> Manifest:
    x, y = (Tensor(name=name, datatype=datatype, shape=(-1, 2)) for name in ("x", "y"))
    return manifest("same").model_copy(update={"task": "regression", "labels": (), "inputs": (x,), "outputs": (y,)})


def identity(datatype: Datatype) -> onnx.ModelProto:
    kind = onnx.TensorProto.STRING if datatype == "BYTES" else helper.np_dtype_to_tensor_dtype(NUMPY_DTYPES[datatype])
    x, y = (helper.make_tensor_value_info(name, kind, ["batch", 2]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def promote_identity(store: Store, datatype: Datatype) -> None:
    zeros = np.full((3, 2), "text", object) if datatype == "BYTES" else np.zeros((3, 2), NUMPY_DTYPES[datatype])
    recorded = Golden({"x": zeros}, {"y": zeros})
    version = store.register("same", graph=identity(datatype), recorded=recorded, described=described(datatype))
    store.registry.promote("same", version)


def request(datatype: Datatype, values: NDArray[np.generic], *, is_raw: bool) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="same")
    tensor = message.inputs.add(name="x", datatype=datatype, shape=values.shape)
    if is_raw:
        message.raw_input_contents.append(raw(values))
    else:
        fill(tensor.contents, datatype, values)
    return message


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
async def test_every_datatype_comes_back_as_it_went(store: Store, datatype: Datatype) -> None:
    promote_identity(store, datatype)
    values = extremes(datatype)
    async with serving(store.registry) as it:
        raw_answer = await it.stub.ModelInfer(request(datatype, values, is_raw=True))
        assert list(raw_answer.raw_output_contents) == [raw(values)]
        assert (raw_answer.outputs[0].datatype, list(raw_answer.outputs[0].shape)) == (datatype, [3, 2])
        if datatype in CONTENTS_FIELDS:
            typed = await it.stub.ModelInfer(request(datatype, values, is_raw=False))
            assert not typed.raw_output_contents
            np.testing.assert_array_equal(to_array(typed.outputs[0].contents, datatype, (3, 2), "y"), values)
        metadata = await it.stub.ModelMetadata(pb.ModelMetadataRequest(name="same"))
        config = (await it.stub.ModelConfig(pb.ModelConfigRequest(name="same"))).config
    assert metadata.inputs[0].datatype == datatype
    assert pb.DataType.Name(config.input[0].data_type) == f"TYPE_{'STRING' if datatype == 'BYTES' else datatype}"


async def test_bytes_that_are_no_text_are_refused(store: Store) -> None:
    promote_identity(store, "BYTES")
    message = request("BYTES", np.array([["a", "b"]], object), is_raw=True)
    message.raw_input_contents[0] = b"\1\0\0\0\xff\0\0\0\0"
    async with serving(store.registry) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.ModelInfer(message)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "expected UTF-8 in every element, came element 0" in (refusal.value.details() or "")
