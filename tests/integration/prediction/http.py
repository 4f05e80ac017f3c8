"""HTTP to a server under test by the standard library, each request on a connection of its own."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from ssl import SSLContext
from typing import Any

from tests.integration.prediction.serving import ROW, Serving
from tests.unit.prediction.graphs import FloatArray

INFER = "/v2/models/digits/infer"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - as json.loads
        """The body's JSON, without what may follow it."""
        length = self.headers.get("inference-header-content-length")
        return json.loads(self.body[: int(length) if length else None])

    @property
    def after(self) -> bytes:
        """What follows the JSON."""
        return self.body[int(self.headers["inference-header-content-length"]) :]


async def get(it: Serving, path: str, **headers: str) -> Answer:
    return await asyncio.to_thread(ask, it.server.rest_port, "GET", path, None, headers)


async def post(it: Serving, path: str, content: object = None, **headers: str) -> Answer:
    """Bytes go as they are, anything else as JSON; underscores in headers' names become dashes."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await asyncio.to_thread(ask, it.server.rest_port, "POST", path, body, headers)


def ask(
    port: int, verb: str, path: str, body: bytes | None, headers: Mapping[str, str], tls: SSLContext | None = None
) -> Answer:
    plain, secure = partial(HTTPConnection, "127.0.0.1"), partial(HTTPSConnection, "127.0.0.1", context=tls)
    connection = (secure if tls else plain)(port, timeout=20)
    try:
        connection.request(verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def features(values: FloatArray = ROW, **parameters: object) -> dict[str, Any]:
    """A request for the classifier's answer."""
    tensor = {"name": "features", "datatype": "FP32", "shape": list(values.shape), "data": values.tolist()}
    return {"inputs": [tensor]} | ({"parameters": parameters} if parameters else {})
