"""What the REST port does with clients that are too large, too slow, too many or unknown, and with its own end."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.prediction.server import build
from services.prediction.settings import Settings
from services.rpc.credentials import token_line
from services.rpc.errors import PortTakenError
from tests.integration.prediction.http import INFER, Answer, ask, features, get, post
from tests.integration.prediction.serving import ROW, Serving, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import SLOW
from tests.unit.rpc.authority import Authority
from tests.waiting import eventually_async

REST: dict[str, Any] = {"rest": True, "rest_port": 0}
HEAD = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\n".encode()


@asynccontextmanager
async def connected(it: Serving, sent: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    """A connection over which these bytes went."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.server.rest_port)
    writer.write(sent)
    try:
        yield reader
    finally:
        writer.close()


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server closes the connection."""
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_body_beyond_the_limit_is_refused_announced_or_not(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_message_bytes=2000, **REST) as it:
        announced = await post(it, INFER, bytes(2001))
        assert (announced.status, announced.json["error"]) == (
            413,
            "the request's body: expected at most 2000 bytes, came more",
        )
        chunk = b"7d0\r\n" + b" " * 2000 + b"\r\n"
        async with connected(it, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 2 * chunk) as reader:
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        assert (await post(it, INFER, features())).status == 200


async def test_an_answer_beyond_the_limit_is_refused(store: Store) -> None:
    store.promote("digits")
    rows = np.zeros((100, 3), np.float32)  # 16 bytes of outputs a row
    head = json.dumps(
        {
            "inputs": [
                {"name": "features", "datatype": "FP32", "shape": [100, 3], "parameters": {"binary_data_size": 1200}}
            ]
        }
    ).encode()
    async with serving(store.registry, max_message_bytes=1400, **REST) as it:
        answer = await post(it, INFER, head + rows.tobytes(), Inference_Header_Content_Length=str(len(head)))
    assert (answer.status, answer.json["error"]) == (413, "the answer: expected at most 1400 bytes, came more")


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD + b"Content-Length: 100\r\n\r\n{", b"HTTP/1.1 408"),
        (b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\nGET", b"HTTP/1.1 200"),
    ],
    ids=["nothing", "half of the headers", "half of the body", "half of a second request"],
)
async def test_slow_clients_are_cut_off(store: Store, sent: bytes, answer: bytes) -> None:
    async with serving(store.registry, rest_read_timeout_s=0.5, **REST) as it, connected(it, sent) as reader:
        assert (await closed(reader)).startswith(answer)


async def test_connections_have_a_limit(store: Store) -> None:
    async with serving(store.registry, rest_max_connections=2, **REST) as it:
        async with connected(it), connected(it), connected(it) as third:
            assert (await closed(third)).startswith(b"HTTP/1.1 503")

        async def has_room() -> bool:
            return (await get(it, "/v2/health/live")).status == 200

        await eventually_async(has_room)


async def test_what_is_no_http_does_no_harm(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(store.registry, **REST) as it:
        for sent in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"X" * 100_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            async with connected(it, sent + b"\r\n\r\n") as reader:
                assert (await closed(reader))[:10] in {b"HTTP/1.1 4", b""}
        assert (await get(it, "/v2/health/live")).status == 200
    assert "uvicorn" not in {record.name.partition(".")[0] for record in caplog.records}


async def test_without_a_token_health_alone_is_open(store: Store, tmp_path: Path) -> None:
    store.promote("digits")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{token_line('infer', 'one')}\n{token_line('admin', 'two')}\n")
    async with serving(store.registry, ready=False, tokens_file=tokens, **REST) as it:
        await eventually_async(lambda: ready(it))
        statuses = {
            token: [
                (await answer).status
                for header in [{"Authorization": f"Bearer {token}"} if token else {}]
                for answer in (
                    get(it, "/v2/health/live", **header),
                    get(it, "/v2", **header),
                    post(it, INFER, features(), **header),
                    post(it, "/v2/repository/models/digits/load", {}, **header),
                )
            ]
            for token in ("", "wrong", "one", "two")
        }
        challenge = (await get(it, "/v2")).headers["www-authenticate"]
    assert statuses == {
        "": [200, 401, 401, 401],
        "wrong": [200, 401, 401, 401],
        "one": [200, 200, 200, 403],
        "two": [200, 200, 200, 200],
    }
    assert challenge == "Bearer"


async def test_requests_under_way_are_answered_before_the_end(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, **REST) as it:
        slow = asyncio.create_task(post(it, INFER, features(np.array([[SLOW * 1.9, 0, 0]], np.float32))))
        await eventually_async(lambda: running(it))
        async with connected(it) as idle:
            stopping = asyncio.create_task(it.server.stop(grace_s=10))
            await eventually_async(lambda: unready(it))
            late = await post(it, INFER, features())
            assert (late.status, late.json) == (503, {"error": "the server is stopping"})
            assert (await slow).status == 200
            await stopping
            assert await closed(idle) == b""
        with pytest.raises(ConnectionRefusedError):
            await get(it, "/v2")


async def test_the_end_does_not_wait_for_a_client_that_does_not(store: Store) -> None:
    async with serving(store.registry, **REST) as it, connected(it, HEAD + b"Content-Length: 100\r\n\r\n{") as reader:
        started_s = time.monotonic()
        await it.server.stop(grace_s=5)
        assert time.monotonic() - started_s < 3
        assert await closed(reader) == b""


async def test_a_taken_port_is_told(store: Store) -> None:
    async with serving(store.registry, **REST) as it:
        taken = it.server.rest_port
        settings = Settings(port=0, metrics_port=0, rest_port=taken)
        other = build(settings, store.registry)
        with pytest.raises(PortTakenError, match=f"127.0.0.1:{taken} for REST"):
            await other.start()
        await other.stop(grace_s=0)


async def test_without_rest_there_is_no_port(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        assert it.server.rest_port == 0
        assert (await it.stub.ModelInfer(raw_request("digits", ROW))).model_version == "1"


async def test_tls_serves_what_grpc_serves_and_reads_new_certificates(store: Store, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server")
    settings = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": authority.file}
    tokens = tmp_path / "tokens"
    tokens.write_text("infer cn:shop\n")
    async with serving(store.registry, ready=False, tokens_file=tokens, **settings, **REST) as it:
        shop = trusting(authority.file, authority.issue("shop", "shop"))
        assert await status(it, shop, "/v2") == 200
        assert await status(it, trusting(authority.file, authority.issue("other", "other")), "/v2") == 401
        assert await status(it, trusting(authority.file), "/v2") is None
        with pytest.raises(ConnectionError):
            await get(it, "/v2/health/live")
        successor = Authority(tmp_path, "successor")
        successor.issue("server")
        renewed = trusting(successor.file, authority.issue("shop", "shop"))
        await eventually_async(lambda: gets_through(it, renewed))
        assert await status(it, shop, "/v2") is None


async def test_a_new_authority_of_clients_counts_for_new_connections(store: Store, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    clients = tmp_path / "clients.crt"
    clients.write_bytes(authority.file.read_bytes())
    certificate, key = authority.issue("server")
    settings = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": clients}
    async with serving(store.registry, ready=False, **settings, **REST) as it:
        successor = Authority(tmp_path, "successor")
        old = trusting(authority.file, authority.issue("old", "old"))
        new = trusting(authority.file, successor.issue("new", "new"))
        assert (await status(it, old, "/v2"), await status(it, new, "/v2")) == (200, None)
        clients.write_bytes(successor.file.read_bytes())
        await eventually_async(lambda: gets_through(it, new))
        assert await status(it, old, "/v2") is None


def trusting(ca: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


async def status(it: Serving, tls: ssl.SSLContext, path: str) -> int | None:
    """What the answer says; None where TLS does not let one through."""
    try:
        return (await asyncio.to_thread(ask, it.server.rest_port, "GET", path, None, {}, tls)).status
    except (ssl.SSLError, ConnectionError):
        return None


async def gets_through(it: Serving, tls: ssl.SSLContext) -> bool:
    return await status(it, tls, "/v2") == 200


async def ready(it: Serving) -> bool:
    return (await get(it, "/v2/health/ready")).status == 200


async def unready(it: Serving) -> bool:
    answer: Answer = await get(it, "/v2/health/ready")
    return (answer.status, answer.json) == (503, {"ready": False})


async def running(it: Serving) -> bool:
    return it.server.plane.num_active == 1
