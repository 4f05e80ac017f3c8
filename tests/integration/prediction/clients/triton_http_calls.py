"""The calls of tritonclient's HTTP client against the server at the address given; prints what came as JSON."""

import json
import sys

import numpy as np
import tritonclient.http as triton

ROWS = np.array([[0.25, -0.5, 1.0], [0.5, 0.5, 0.5]], np.float32)


def features(binary: bool) -> list[triton.InferInput]:
    tensor = triton.InferInput("features", list(ROWS.shape), "FP32")
    tensor.set_data_from_numpy(ROWS, binary_data=binary)
    return [tensor]


def calls(client: triton.InferenceServerClient) -> dict[str, object]:
    came: dict[str, object] = {
        "ready": [client.is_server_live(), client.is_server_ready(), client.is_model_ready("digits")],
        "get_server_metadata": client.get_server_metadata()["extensions"],
        "get_model_metadata": client.get_model_metadata("digits")["inputs"],
        "get_model_config": client.get_model_config("digits", "1")["input"],
        "index": [[row["name"], row["state"]] for row in client.get_model_repository_index()],
    }
    client.load_model("digits")
    for binary_in in (True, False):
        for binary_out in (True, False):
            for algorithm in (None, "gzip", "deflate"):
                outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary_out)]
                answer = client.infer(
                    "digits", features(binary_in), outputs=outputs, request_compression_algorithm=algorithm
                )
                came[f"infer {binary_in} {binary_out} {algorithm}"] = answer.as_numpy("probabilities").tolist()
    answer = client.infer("digits", features(True), request_id="h-1", timeout=5_000_000, priority=1)
    came["infer, all outputs"] = [answer.get_response()["id"], answer.as_numpy("class_index").tolist()]
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("probabilities", binary_data=binary, class_count=2)]
        classes = client.infer("digits", features(True), outputs=outputs).as_numpy("probabilities").ravel()
        came[f"class_count {binary}"] = [each.decode() if isinstance(each, bytes) else each for each in classes]
        texts = triton.InferInput("x", [2, 2], "BYTES")
        texts.set_data_from_numpy(np.array([["naïve", "a b"], ["", "c"]], np.object_), binary_data=binary)
        said = client.infer("same", [texts]).as_numpy("y").ravel()
        came[f"BYTES {binary}"] = [each.decode() for each in said]
    came["async_infer"] = client.async_infer("digits", features(True)).get_result().as_numpy("probabilities").tolist()
    came["get_inference_statistics"] = client.get_inference_statistics("digits")["model_stats"][0]["inference_count"]
    client.unload_model("digits")
    came["unloaded"] = client.is_model_ready("digits")
    return came


with triton.InferenceServerClient(sys.argv[1], concurrency=2) as connected:
    print(json.dumps(calls(connected)))
