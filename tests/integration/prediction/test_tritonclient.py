"""An unmodified tritonclient, sync and asyncio, in a process of its own: one cannot hold both sets of messages."""

import asyncio
import json
import sys

import numpy as np
import pytest

from tests.integration.prediction.serving import serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import GOLDEN_ROWS, probabilities

pytestmark = pytest.mark.usefixtures("each_transport")

CLIENT = """
import asyncio, json, sys
import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio

url, rows = sys.argv[1], np.array(json.loads(sys.argv[2]), np.float32)

def tensors(module):
    features = module.InferInput("features", list(rows.shape), "FP32")
    features.set_data_from_numpy(rows)
    return [features], [module.InferRequestedOutput("class_index"), module.InferRequestedOutput("probabilities")]

def described(result, ready, metadata):
    return {
        "probabilities": result.as_numpy("probabilities").tolist(),
        "class_index": result.as_numpy("class_index").tolist(),
        "version": result.get_response().model_version,
        "id": result.get_response().id,
        "ready": ready,
        "inputs": [tensor.name for tensor in metadata.inputs],
    }

def synchronous():
    with tritonclient.grpc.InferenceServerClient(url) as client:
        inputs, outputs = tensors(tritonclient.grpc)
        ready = client.is_server_live() and client.is_server_ready() and client.is_model_ready("digits")
        index = client.get_model_repository_index()
        client.load_model("digits")
        assert index.models[0].state == "READY", index
        try:
            client.infer("digits", inputs[:0])
        except tritonclient.utils.InferenceServerException as error:
            assert error.status() == "StatusCode.INVALID_ARGUMENT", error
        result = client.infer("digits", inputs, outputs=outputs, request_id="s-1", timeout=5_000_000)
        return described(result, ready, client.get_model_metadata("digits"))

async def asynchronous():
    async with tritonclient.grpc.aio.InferenceServerClient(url) as client:
        inputs, outputs = tensors(tritonclient.grpc.aio)
        result = await client.infer("digits", inputs, outputs=outputs, request_id="a-1")
        return described(result, await client.is_model_ready("digits"), await client.get_model_metadata("digits"))

print(json.dumps([synchronous(), asyncio.run(asynchronous())]))
"""


async def test_tritonclient_gets_the_answers_of_the_weights(store: Store) -> None:
    version = store.promote("digits", scale=2.0)
    async with serving(store.registry) as it:
        client = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CLIENT,
            f"127.0.0.1:{it.server.port}",
            json.dumps(GOLDEN_ROWS.tolist()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await client.communicate()
    assert client.returncode == 0, errors.decode()
    expected = probabilities(GOLDEN_ROWS, 2.0)
    answers = json.loads(out)
    assert [answer["id"] for answer in answers] == ["s-1", "a-1"]
    for answer in answers:
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        assert answer["class_index"] == expected.argmax(axis=1).tolist()
        assert (answer["version"], answer["ready"], answer["inputs"]) == (version, True, ["features"])
