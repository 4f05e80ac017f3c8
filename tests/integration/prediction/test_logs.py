"""What the log says of requests, at its most talkative: whose they are, and never what is in them."""

import json
import logging
from collections.abc import Callable, Iterator
from io import BytesIO, StringIO
from typing import Any, TypeAlias

import grpc
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.prediction.pb import open_inference_pb2 as pb
from services.rpc import logs
from tests.integration.prediction.http import Answer, features, post
from tests.integration.prediction.serving import Serving, raw_request, serving
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_datatypes import promote_identity
from tests.integration.prediction.test_images import asking
from tests.integration.prediction.test_images import promote_identity as promote_pictures
from tests.unit.prediction.graphs import FATAL

MARKER = "m4rk3r"
NUMBER = 2**20
"""In a payload; the graph looks for an element of this index, and onnxruntime says so."""
REST: dict[str, Any] = {"rest": True, "rest_port": 0}

Send: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"
Told = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """The lines of the log so far, with those for debugging."""
    monkeypatch.setenv("DRIVETRAIN_LOG_FORMAT", "json")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure()
    root.setLevel(logging.DEBUG)
    [handler], written = root.handlers, StringIO()
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level


def fatal_rows() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array([[FATAL * NUMBER, 0, 0]], np.float32)


def of_requests(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The ids and levels of the lines that belong to a request."""
    return [(line["request_id"], line["level"]) for line in lines if "request_id" in line]


async def refused(it: Serving, request: pb.ModelInferRequest, *metadata: tuple[str, str]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await it.stub.ModelInfer(request, metadata=metadata)
    return failure.value.code()


@pytest.mark.usefixtures("each_transport")
async def test_a_line_carries_its_requests_id(store: Store, told: Told) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        await refused(it, raw_request("other"), ("x-request-id", "r-1"))
        await refused(it, raw_request("digits", fatal_rows()), ("x-request-id", "r-2"))
        await refused(it, raw_request("other"))
    *given, (made, level) = of_requests(told())
    assert given == [("r-1", "INFO"), ("r-2", "ERROR"), ("r-2", "INFO")]
    assert (len(made), level) == (16, "INFO")


async def test_a_line_carries_its_requests_id_over_http(store: Store, told: Told) -> None:
    store.promote("digits")
    async with serving(store.registry, **REST) as it:
        await post(it, "/v2/models/other/infer", features(), x_request_id="r-1")
        await post(it, "/v2/models/digits/infer", features(fatal_rows()), x_request_id="r-2")
        made = (await post(it, "/v2/models/other/infer", features())).headers["x-request-id"]
    expected = [("r-1", "INFO"), ("r-2", "ERROR"), ("r-2", "INFO"), (made, "INFO")]
    assert of_requests(told()) == expected


def text_requests() -> list[pb.ModelInferRequest]:
    """The marker in valid and invalid requests: typed, too many, no UTF-8; raw, cut off, as numbers, as a name."""
    requests = []
    for elements in ([MARKER.encode()] * 2, [MARKER.encode()] * 3, [MARKER.encode() + b"\xff"] * 2):
        requests.append(pb.ModelInferRequest(model_name="same"))
        requests[-1].inputs.add(name="x", datatype="BYTES", shape=[1, 2]).contents.bytes_contents.extend(elements)
    for datatype, content in (("BYTES", b"\x09\0\0\0" + MARKER.encode()), ("FP32", MARKER.encode())):
        requests.append(pb.ModelInferRequest(model_name="same", raw_input_contents=[content]))
        requests[-1].inputs.add(name="x", datatype=datatype, shape=[1, 2])
    return requests


@pytest.mark.usefixtures("each_transport")
async def test_texts_are_never_logged(store: Store, told: Told) -> None:
    promote_identity(store, "BYTES")
    async with serving(store.registry) as it:
        good, *bad = text_requests()
        await it.stub.ModelInfer(good)
        for request in bad:
            assert await refused(it, request) is grpc.StatusCode.INVALID_ARGUMENT
        send: Send = it.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.aio.AioRpcError):
            await send(b"\xff" + MARKER.encode())
    lines = told()
    assert sum("INVALID_ARGUMENT" in line["message"] for line in lines) == len(bad) + 1
    assert MARKER not in json.dumps(lines)


@pytest.mark.usefixtures("each_transport")
async def test_numbers_are_never_logged(store: Store, told: Told) -> None:
    store.promote("digits")
    promote_identity(store, "INT8")
    beyond = pb.ModelInferRequest(model_name="same")
    beyond.inputs.add(name="x", datatype="INT8", shape=[1, 2]).contents.int_contents.extend([NUMBER, 0])
    async with serving(store.registry) as it:
        assert await refused(it, beyond) is grpc.StatusCode.INVALID_ARGUMENT
        assert await refused(it, raw_request("digits", fatal_rows())) is grpc.StatusCode.INTERNAL
    lines = told()
    assert any("Gather" in line.get("exc_info", "") for line in lines)
    assert str(NUMBER) not in json.dumps(lines)


async def test_bodies_are_never_logged(store: Store, told: Told) -> None:
    promote_identity(store, "BYTES")

    def texts(*data: object, datatype: str = "BYTES") -> dict[str, Any]:
        return {"inputs": [{"name": "x", "datatype": datatype, "shape": [1, 2], "data": data}]}

    async def sent(it: Serving, content: object, **headers: str) -> Answer:
        return await post(it, "/v2/models/same/infer", content, **headers)

    async with serving(store.registry, **REST) as it:
        assert (await sent(it, texts(MARKER, MARKER))).status == 200
        bad = [
            texts(MARKER),
            texts(MARKER, NUMBER),
            texts(MARKER, MARKER, datatype="FP32"),
            texts(f"{MARKER}\ud800", ""),
        ]
        for content in [*bad, MARKER.encode(), b'{"inputs": [' + MARKER.encode(), {"inputs": MARKER}]:
            assert (await sent(it, content)).status == 400
        assert (await sent(it, MARKER.encode(), content_encoding="gzip")).status == 400
    lines = told()
    assert sum(": 400: " in line["message"] for line in lines) == 8
    assert MARKER not in json.dumps(lines)
    assert str(NUMBER) not in json.dumps(lines)


async def test_images_are_never_logged(store: Store, told: Told) -> None:
    promote_pictures(store)
    described = PngInfo()
    described.add_text("Comment", MARKER)
    drawn = BytesIO()
    Image.new("RGB", (256, 256)).save(drawn, "PNG", pnginfo=described)
    async with serving(store.registry) as it:
        await it.stub.ModelInfer(asking([drawn.getvalue()]))
        for content in (MARKER.encode(), drawn.getvalue()[:-30], drawn.getvalue()[:60] + MARKER.encode() * 9):
            assert await refused(it, asking([content])) is grpc.StatusCode.INVALID_ARGUMENT
    lines = told()
    assert MARKER not in json.dumps(lines)
    assert not any(line["logger"].startswith("PIL") for line in lines)  # it names the parts of a file
