"""The protocol over HTTP, on real sockets: what it answers, in both forms, and what it refuses with which status."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from services.prediction.servicer import EXTENSIONS
from tests.integration.prediction.environments import python_with
from tests.integration.prediction.http import INFER, Answer, features, get, post
from tests.integration.prediction.serving import ROW, Serving, asked, raw_request, serving
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_clients import CLIENTS, EXPECTED, classes
from tests.integration.prediction.test_datatypes import promote_identity
from tests.unit.prediction.graphs import FATAL, SLOW, probabilities
from tests.waiting import eventually_async

REST: dict[str, Any] = {"rest": True, "rest_port": 0}


async def test_json_in_and_json_out(store: Store) -> None:
    version = store.promote("digits")
    async with serving(store.registry, **REST) as it:
        answer = await post(it, INFER, features() | {"id": "r-1"}, x_request_id="mine")
        flat = features()
        flat["inputs"][0]["data"] = ROW.ravel().tolist()
        alike = await post(it, f"/v2/models/digits/versions/{version}/infer", flat)
    assert (answer.status, answer.headers["x-request-id"]) == (200, "mine")
    assert alike.json | {"id": "r-1"} == answer.json
    assert {key: answer.json[key] for key in ("model_name", "model_version", "id")} == {
        "model_name": "digits",
        "model_version": version,
        "id": "r-1",
    }
    scores, index = answer.json["outputs"]
    assert (scores["name"], scores["datatype"], scores["shape"]) == ("probabilities", "FP32", [1, 2])
    np.testing.assert_allclose([scores["data"]], probabilities(ROW, 1.0), atol=1e-6)
    assert (index["datatype"], index["shape"], index["data"]) == ("INT64", [1], [int(np.argmax(scores["data"]))])


async def test_tensors_travel_as_bytes_after_the_json_both_ways(store: Store) -> None:
    store.promote("digits")
    asked_for = features(binary_data_output=True)
    del asked_for["inputs"][0]["data"]
    asked_for["inputs"][0]["parameters"] = {"binary_data_size": ROW.nbytes}
    asked_for["outputs"] = [{"name": "class_index", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    head = json.dumps(asked_for).encode()
    async with serving(store.registry, **REST) as it:
        answer = await post(it, INFER, head + ROW.tobytes(), Inference_Header_Content_Length=str(len(head)))
    index, scores = answer.json["outputs"]
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert index["data"] == [int(probabilities(ROW, 1.0).argmax())]
    assert scores["parameters"] == {"binary_data_size": 8}
    np.testing.assert_allclose(np.frombuffer(answer.after, np.float32), probabilities(ROW, 1.0)[0], atol=1e-6)


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_bodies_are_read(store: Store, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    store.promote("digits")
    body = json.dumps(features()).encode()
    async with serving(store.registry, max_message_bytes=4096, **REST) as it:
        assert (await post(it, INFER, compress(body), Content_Encoding=encoding)).status == 200
        bomb = await post(it, INFER, compress(bytes(10**6)), Content_Encoding=encoding)
        broken = await post(it, INFER, compress(body)[:-6], Content_Encoding=encoding)
        unknown = await post(it, INFER, body, Content_Encoding="br")
    assert [bomb.status, broken.status, unknown.status] == [413, 400, 415]


async def test_what_there_is_to_read(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, **REST) as it:
        model = (await get(it, "/v2/models/digits")).json
        config = (await get(it, "/v2/models/digits/versions/1/config")).json
        statistics = [(await get(it, f"/v2/models/{of}stats")).json["model_stats"][0] for of in ("", "digits/")]
        index = await post(it, "/v2/repository/index", {"ready": True})
        server = (await get(it, "/v2")).json
        states = [await get(it, f"/v2/{of}") for of in ("health/live", "health/ready", "models/digits/ready")]
    assert (model["name"], model["versions"], model["inputs"][0]["shape"]) == ("digits", ["1"], [-1, 3])
    assert (config["max_batch_size"], config["input"][0]["data_type"]) == (64, "TYPE_FP32")
    assert [each["inference_stats"]["success"]["count"] for each in statistics] == [0, 0]
    assert [(row["name"], row["state"]) for row in index.json] == [("digits", "READY")]
    assert (server["name"], server["extensions"]) == ("drivetrain", [*EXTENSIONS, "binary_tensor_data"])
    assert [state.status for state in states] == [200] * 3
    assert [state.json for state in states] == [{"live": True}, {"ready": True}, {"name": "digits", "ready": True}]


async def test_every_refusal_has_its_status(store: Store) -> None:
    store.promote("digits")
    fatal = features(np.array([[FATAL, 0, 0]], np.float32))
    async with serving(store.registry, **REST) as it:
        came = {
            "unknown model": await post(it, "/v2/models/other/infer", features()),
            "unknown version": await post(it, "/v2/models/digits/versions/9/infer", features()),
            "version not a number": await post(it, "/v2/models/digits/versions/one/infer", features()),
            "no JSON": await post(it, INFER, b"{"),
            "deep JSON": await post(it, INFER, b"[" * 100_000),
            "wrong shape": await post(it, INFER, features(np.zeros((1, 4), np.float32))),
            "fault": await post(it, INFER, fatal, x_request_id="r-4711"),
            "no path": await get(it, "/v1/models"),
            "no such verb": await get(it, INFER),
        }
    assert {case: answer.status for case, answer in came.items()} == {
        "unknown model": 404,
        "unknown version": 404,
        "version not a number": 400,
        "no JSON": 400,
        "deep JSON": 400,
        "wrong shape": 400,
        "fault": 500,
        "no path": 404,
        "no such verb": 405,
    }
    assert came["wrong shape"].json["error"].startswith("inputs[features].shape: expected [-1, 3]")
    assert came["fault"].json == {"error": "internal error; the server's log has more under request id r-4711"}


async def test_a_full_queue_and_a_timeout_have_their_status(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=1, max_queue_requests=1, **REST) as it:
        slow = asyncio.create_task(post(it, INFER, features(np.array([[SLOW * 1.9, 0, 0]], np.float32))))
        await eventually_async(lambda: busy(it, 0))
        late = asyncio.create_task(post(it, INFER, features(timeout=700_000)))
        await eventually_async(lambda: busy(it, 1))
        full = await post(it, INFER, features())
        assert [(await each).status for each in (late, slow)] == [504, 200]
    assert full.status == 429


async def test_a_client_that_leaves_takes_its_request_out_of_the_queue(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_batch_size=1, **REST) as it:
        slow = asyncio.create_task(post(it, INFER, features(np.array([[SLOW * 1.9, 0, 0]], np.float32))))
        await eventually_async(lambda: busy(it, 0))
        _, writer = await asyncio.open_connection("127.0.0.1", it.server.rest_port)
        body = json.dumps(features()).encode()
        writer.write(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (INFER.encode(), len(body), body))
        await eventually_async(lambda: busy(it, 1))
        writer.close()
        await eventually_async(lambda: cancelled(it))
        assert not slow.done()
        await slow


async def test_loading_and_unloading(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, **REST) as it:
        unloaded = await post(it, "/v2/repository/models/digits/unload", {"parameters": {"unload_dependents": False}})
        refused = await post(it, INFER, features())
        loaded = await post(it, "/v2/repository/models/digits/load", b"")
        assert (await post(it, INFER, features())).status == 200
        unfit: list[object] = [{"config": "{}"}, {"version": 1.5}, []]
        wrong = [
            await post(it, "/v2/repository/models/digits/load", {"parameters": parameters}) for parameters in unfit
        ]
    assert [unloaded.status, refused.status, loaded.status] == [200, 503, 200]
    assert [each.status for each in wrong] == [400] * 3


async def test_values_that_json_cannot_say_are_refused_and_travel_as_bytes(store: Store) -> None:
    promote_identity(store, "FP32")
    values = np.array([[np.nan, np.inf]], np.float32)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    async with serving(store.registry, **REST) as it:
        answers: list[Answer] = []
        for binary in (False, True):
            head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": binary}}).encode()
            body = head + values.tobytes()
            path = "/v2/models/same/infer"
            answers.append(await post(it, path, body, Inference_Header_Content_Length=str(len(head))))
    assert [each.status for each in answers] == [400, 200]
    assert answers[0].json["error"].startswith("outputs[y]: expected binary_data for NaN and infinity")
    assert answers[1].after == values.tobytes()


async def test_grpc_and_http_answer_alike(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, **REST) as it:
        over_http = (await post(it, INFER, features(binary_data_output=True))).after
        over_grpc = await it.stub.ModelInfer(raw_request("digits"))
    assert over_http == b"".join(over_grpc.raw_output_contents)


@pytest.mark.slow
async def test_every_call_of_tritonclients_http_client(store: Store) -> None:
    python = await python_with("tritonclient[http]==2.73.0")
    store.promote("digits")
    promote_identity(store, "BYTES")
    async with serving(store.registry, **REST) as it:
        script = str(CLIENTS / "triton_http_calls.py")
        came = await asked(str(python), script, f"127.0.0.1:{it.server.rest_port}")
    inferred = [values for name, values in came.items() if name.startswith("infer ")] + [came["async_infer"]]
    assert len(inferred) == 13
    for values in inferred:
        np.testing.assert_allclose(values, EXPECTED, atol=1e-6)
    assert came["infer, all outputs"] == ["h-1", EXPECTED.argmax(axis=1).tolist()]
    assert came["ready"] == [True] * 3
    assert came["index"] == [["digits", "READY"], ["same", "READY"]]
    assert [came[f"class_count {binary}"] for binary in (True, False)] == [classes()] * 2
    assert [came[f"BYTES {binary}"] for binary in (True, False)] == [["naïve", "a b", "", "c"]] * 2
    assert came["get_model_metadata"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]
    assert (came["get_model_config"][0]["dims"], came["get_server_metadata"][-1]) == ([3], "binary_tensor_data")
    assert (came["get_inference_statistics"], came["unloaded"]) == (32, False)


async def busy(it: Serving, waiting: int) -> bool:
    """Whether a request runs and so many wait."""
    pending = f'nv_inference_pending_request_count{{model="digits",version="1"}} {waiting}.0' in await it.scrape()
    return pending and not it.server.plane.model("digits", "").batcher.idle


async def cancelled(it: Serving) -> bool:
    line = 'nv_inference_request_failure{model="digits",reason="CANCELED",version="1"} 1.0'
    return line in await it.scrape()
