"""TLS and mutual TLS, against a server of grpcio's that wants them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.prediction.client import NO_RETRIES, ClientTls, errors
from services.prediction.pb import open_inference_pb2 as pb
from services.rpc.status import Context
from tests.integration.prediction.client.asking import Kind, asking, both
from tests.integration.prediction.client.certificates import Authority


async def live(_request: pb.ServerLiveRequest, context: Context) -> pb.ServerLiveResponse:
    """Yes, if the token came along."""
    return pb.ServerLiveResponse(live=("authorization", "Bearer alpha") in (context.invocation_metadata() or ()))


METHODS = {
    "ServerLive": grpc.unary_unary_rpc_method_handler(
        live, pb.ServerLiveRequest.FromString, pb.ServerLiveResponse.SerializeToString
    )
}


@asynccontextmanager
async def secured(authority: Authority, *, mutual: bool) -> AsyncIterator[str]:
    """Address of a server with a certificate of the authority's; `mutual`: it wants one of the client's too."""
    pair, server = authority.issue("server"), grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("inference.GRPCInferenceService", METHODS)])
    trusted = authority.certificate.read_bytes() if mutual else None
    keys = [(pair.key.read_bytes(), pair.certificate.read_bytes())]
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(keys, trusted, mutual))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@both
async def test_the_token_travels_over_tls(kind: Kind, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with secured(authority, mutual=False) as address:
        tls = ClientTls(ca=authority.certificate)
        async with asking(kind, address, "alpha", tls=tls) as ask:
            assert await ask("is_live")


@both
async def test_a_certificate_of_the_clients_own(kind: Kind, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.issue("client")
    async with secured(authority, mutual=True) as address:
        tls = ClientTls(authority.certificate, mine.certificate, mine.key)
        async with asking(kind, address, "alpha", tls=tls) as ask:
            assert await ask("is_live")
        async with asking(kind, address, "alpha", tls=ClientTls(ca=authority.certificate)) as ask:
            assert not await ask("is_live")


@both
@pytest.mark.parametrize("tls", [True, False])
async def test_a_server_that_is_not_trusted_gets_nothing(kind: Kind, tmp_path: Path, *, tls: bool) -> None:
    (tmp_path / "other").mkdir()
    theirs, ours = Authority(tmp_path), Authority(tmp_path / "other")
    async with secured(theirs, mutual=False) as address:
        trusting = ClientTls(ca=ours.certificate) if tls else None
        async with asking(kind, address, "alpha", tls=trusting, retry=NO_RETRIES, timeout_s=10) as ask:
            with pytest.raises(errors.UnavailableError):
                await ask("metadata", "digits")
