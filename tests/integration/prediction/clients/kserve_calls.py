"""What the KServe SDK's gRPC client can ask: prints as JSON what each call answered.

Run as a program with the server's address, in an environment with `kserve`; it expects the classifier `digits`.
"""

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput

ROWS = np.array([[0.25, -0.5, 1.0], [0.5, 0.5, 0.5]], np.float32)


def request(*, is_raw: bool) -> InferRequest:
    """The rows, raw or in typed contents."""
    tensor = InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=is_raw)
    return InferRequest("digits", [tensor], request_id="k-1", request_outputs=[RequestedOutput("probabilities")])


async def ask(url: str) -> dict[str, Any]:
    """Every call that the client has."""
    client = InferenceGRPCClient(url)
    answers: dict[str, Any] = {
        "is_server_live": await client.is_server_live(),
        "is_server_ready": await client.is_server_ready(),
        "is_model_ready": await client.is_model_ready("digits"),
    }
    for kind in ("raw", "typed"):
        answer = await client.infer(request(is_raw=kind == "raw"))
        answers[f"infer, {kind}"] = [answer.id, answer.model_version, answer.outputs[0].as_numpy().tolist()]
    try:
        await client.infer(InferRequest("unknown", request(is_raw=True).inputs))
    except grpc.RpcError as error:
        answers["infer, unknown model"] = error.code().name
    await client.close()
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(sys.argv[1]))))
