"""What tritonclient's three clients can ask: prints as JSON what each call answered, by client and call.

Run as a program with the server's address; it expects the classifier `digits` and the identity of texts `same`.
"""

import asyncio
import json
import queue
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

ROWS = np.array([[0.25, -0.5, 1.0], [0.5, 0.5, 0.5]], np.float32)
TEXTS = np.array([["naïve".encode(), b"a\0b"]], np.object_)

Answers = dict[str, Any]
Message = Any
Result = Any
"""tritonclient comes without types."""


def features(module: ModuleType, rows: np.ndarray = ROWS) -> list[Any]:
    """The classifier's input."""
    tensor = module.InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def texts(module: ModuleType) -> list[Any]:
    """The input of the identity of texts."""
    tensor = module.InferInput("x", list(TEXTS.shape), "BYTES")
    tensor.set_data_from_numpy(TEXTS)
    return [tensor]


def asked_classes(module: ModuleType) -> list[Any]:
    """The probabilities as two classes each."""
    return [module.InferRequestedOutput("probabilities", class_count=2)]


def strings(array: np.ndarray) -> list[str]:
    """An array of bytes as texts, for JSON."""
    return [each.decode() for each in array.ravel().tolist()]


def described(config: Message, statistics: Message, server: Message) -> Answers:
    """The parts of what a server tells of itself that the test looks at."""
    return {
        "get_model_config": [config.config.name, config.config.max_batch_size, config.config.input[0].dims[0]],
        "get_inference_statistics": [each.name for each in statistics.model_stats],
        "get_server_metadata": list(server.extensions),
    }


def synchronous(url: str) -> Answers:
    """tritonclient.grpc, one call at a time."""
    module = tritonclient.grpc
    with module.InferenceServerClient(url) as client:
        answers = described(
            client.get_model_config("digits"), client.get_inference_statistics(), client.get_server_metadata()
        )
        result = client.infer("digits", features(module), priority=1, timeout=5_000_000)
        answers["infer"] = result.as_numpy("probabilities").tolist()
        result = client.infer("digits", features(module), outputs=asked_classes(module))
        answers["infer, class_count"] = strings(result.as_numpy("probabilities"))
        answers["infer, BYTES"] = strings(client.infer("same", texts(module)).as_numpy("y"))
        answers["infer, sequence"] = refused(lambda: client.infer("digits", features(module), sequence_id=7))
        calls = (client.get_system_shared_memory_status, client.get_trace_settings, client.get_log_settings)
        answers["not here"] = [refused(call) for call in calls]
        answers["ready"] = [client.is_server_live(), client.is_server_ready(), client.is_model_ready("digits")]
        client.load_model("digits")
        answers["index"] = [model.state for model in client.get_model_repository_index().models]
        answers["get_model_metadata"] = client.get_model_metadata("digits").inputs[0].name
        came: queue.Queue[Any] = queue.Queue()
        client.async_infer("digits", features(module), callback=lambda result, error: came.put(error or result))
        answers["async_infer"] = came.get(timeout=30).as_numpy("probabilities").tolist()
    return answers


def refused(call: Callable[[], object]) -> str:
    """The status of a call that must fail."""
    try:
        call()
    except InferenceServerException as error:
        return str(error.status())
    return "answered"


async def refused_later(call: Awaitable[object]) -> str:
    """The same for a call of the asynchronous client."""
    try:
        await call
    except InferenceServerException as error:
        return str(error.status())
    return "answered"


def streaming(url: str) -> Answers:
    """tritonclient.grpc's stream: requests with an error among them."""
    module = tritonclient.grpc
    came: queue.Queue[Any] = queue.Queue()
    with module.InferenceServerClient(url) as client:
        client.start_stream(callback=lambda result, error: came.put(error or result))
        for number in range(20):
            rows = ROWS[:, :2] if number == 3 else ROWS * np.float32(number)
            client.async_stream_infer(
                "digits", features(module, rows), request_id=str(number), enable_empty_final_response=True
            )
        results = [came.get(timeout=30) for _ in range(20)]
        client.stop_stream()
    return {"async_stream_infer": [outcome(result) for result in results]}


async def asynchronous(url: str) -> Answers:
    """tritonclient.grpc.aio, calls and stream."""
    module = tritonclient.grpc.aio
    async with module.InferenceServerClient(url) as client:
        answers = described(
            await client.get_model_config("digits"),
            await client.get_inference_statistics(),
            await client.get_server_metadata(),
        )
        result = await client.infer("digits", features(module), priority=1, timeout=5_000_000)
        answers["infer"] = result.as_numpy("probabilities").tolist()
        result = await client.infer("digits", features(module), outputs=asked_classes(module))
        answers["infer, class_count"] = strings(result.as_numpy("probabilities"))
        answers["infer, BYTES"] = strings((await client.infer("same", texts(module))).as_numpy("y"))

        answers["infer, sequence"] = await refused_later(client.infer("digits", features(module), sequence_id=7))
        calls = (client.get_system_shared_memory_status, client.get_trace_settings, client.get_log_settings)
        answers["not here"] = [await refused_later(call()) for call in calls]
        ready = (client.is_server_live(), client.is_server_ready(), client.is_model_ready("digits"))
        answers["ready"] = [await each for each in ready]
        await client.load_model("digits")
        answers["index"] = [model.state for model in (await client.get_model_repository_index()).models]
        answers["get_model_metadata"] = (await client.get_model_metadata("digits")).inputs[0].name

        async def requests() -> AsyncIterator[dict[str, object]]:
            for number in range(20):
                rows = ROWS[:, :2] if number == 3 else ROWS * np.float32(number)
                yield {"model_name": "digits", "inputs": features(module, rows), "request_id": str(number)}

        results = [error or result async for result, error in client.stream_infer(requests())]
        answers["stream_infer"] = [outcome(result) for result in results]
    return answers


def outcome(result: Result) -> object:
    """Id and first probability of an answer; the text of an error."""
    if isinstance(result, InferenceServerException):
        return result.message()
    return [result.get_response().id, result.as_numpy("probabilities")[0, 0].item()]


if __name__ == "__main__":
    address = sys.argv[1]
    print(
        json.dumps(
            {"sync": synchronous(address), "stream": streaming(address), "aio": asyncio.run(asynchronous(address))}
        )
    )
