"""TLS of both services: who gets through, and what happens when certificates are replaced."""

from pathlib import Path

import pytest
from cryptography import x509

from services.rpc.errors import InvalidSettingsError
from tests.integration.security.hosts import (
    HEALTH,
    LOAD,
    METADATA,
    Code,
    Files,
    TokensFile,
    asked,
    build,
    hosting,
    open_channel,
    status_of,
)
from tests.unit.rpc.authority import Authority
from tests.waiting import eventually_async

SERVICES = ("prediction", "training")


def tls(pair: tuple[Path, Path], client_ca: Path | None = None) -> dict[str, object]:
    """Settings of a server."""
    return {"tls_certificate": pair[0], "tls_key": pair[1], "tls_client_ca": client_ca}


@pytest.mark.parametrize("service", SERVICES)
async def test_with_tls_only_tls_gets_through(service: str, authority: Authority, tmp_path: Path) -> None:
    async with hosting(service, **tls(authority.issue("server"))) as address:
        assert await asked(address, Files(authority.file)) is Code.OK
        assert await asked(address, Files(Authority(tmp_path, "stranger").file)) is Code.UNAVAILABLE
        assert await asked(address) is Code.UNAVAILABLE


async def test_a_certificate_for_another_name_is_not_believed(authority: Authority) -> None:
    pair = authority.issue("server", "server", x509.DNSName("elsewhere.example.org"))
    async with hosting("prediction", **tls(pair)) as address:
        assert await asked(address, Files(authority.file)) is Code.UNAVAILABLE


@pytest.mark.parametrize("service", SERVICES)
async def test_new_connections_get_the_new_certificate(service: str, authority: Authority, tmp_path: Path) -> None:
    old, new = Files(authority.file), Files((successor := Authority(tmp_path, "successor")).file)
    settings = tls(authority.issue("server"))
    async with hosting(service, **settings) as address, open_channel(address, old) as channel:
        assert await status_of(channel, HEALTH) is Code.OK
        successor.issue("server")
        await eventually_async(lambda: gets_through(address, new))
        assert not await gets_through(address, old)
        assert await status_of(channel, HEALTH) is Code.OK  # an open connection goes on


async def test_a_broken_certificate_leaves_the_old_one_in_use(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    successor = Authority(tmp_path, "successor")
    certificate, _ = pair = authority.issue("server")
    async with hosting("prediction", **tls(pair)) as address:

        async def is_told() -> bool:
            assert await asked(address, Files(authority.file)) is Code.OK
            return "tls_certificate, tls_key: expected a certificate and its key" in caplog.text

        certificate.write_text("broken")
        await eventually_async(is_told)
        successor.issue("server")
        await eventually_async(lambda: gets_through(address, Files(successor.file)))


async def gets_through(address: str, files: Files) -> bool:
    return await asked(address, files) is Code.OK


@pytest.mark.parametrize("service", SERVICES)
def test_certificates_that_do_not_fit_are_refused_at_the_start(service: str, authority: Authority) -> None:
    certificate, _ = authority.issue("one")
    with pytest.raises(InvalidSettingsError, match="tls_certificate, tls_key"):
        build(service, **tls((certificate, authority.issue("other")[1])))
    with pytest.raises(InvalidSettingsError, match="tls_client_ca"):
        build(service, **tls(authority.issue("one"), client_ca=authority.issue("one")[1]))


@pytest.mark.parametrize("service", SERVICES)
async def test_with_a_client_ca_only_its_certificates_get_through(
    service: str, authority: Authority, tmp_path: Path
) -> None:
    stranger, settings = Authority(tmp_path, "stranger"), tls(authority.issue("server"), client_ca=authority.file)
    late = authority.issue("late", "late", days=-1)
    async with hosting(service, **settings) as address:
        assert await asked(address, Files(authority.file, authority.issue("client", "client"))) is Code.OK
        assert await asked(address, Files(authority.file)) is Code.UNAVAILABLE
        assert await asked(address, Files(authority.file, stranger.issue("other", "client"))) is Code.UNAVAILABLE
        assert await asked(address, Files(authority.file, late)) is Code.UNAVAILABLE


async def test_another_client_ca_is_taken_while_the_service_runs(authority: Authority, tmp_path: Path) -> None:
    successor = Authority(tmp_path, "successor")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(authority.file.read_bytes())
    old = Files(authority.file, authority.issue("old", "client"))
    new = Files(authority.file, successor.issue("new", "client"))
    async with hosting("prediction", **tls(authority.issue("server"), client_ca=trusted)) as address:
        assert await asked(address, new) is Code.UNAVAILABLE
        trusted.write_bytes(successor.file.read_bytes())
        await eventually_async(lambda: gets_through(address, new))
        assert await asked(address, old) is Code.UNAVAILABLE


CLIENTS: dict[str, tuple[list[x509.GeneralName], Code, Code]] = {
    "nightly": ([], Code.OK, Code.PERMISSION_DENIED),
    "web": ([x509.DNSName("Shop.Example.org")], Code.OK, Code.PERMISSION_DENIED),
    "robot": ([x509.UniformResourceIdentifier("spiffe://shop/robot")], Code.OK, Code.NOT_FOUND),
    "stranger": ([x509.DNSName("other.example.org")], Code.UNAUTHENTICATED, Code.UNAUTHENTICATED),
    "shop.example.org": ([], Code.UNAUTHENTICATED, Code.UNAUTHENTICATED),  # a common name is no DNS name
    "mail": ([x509.RFC822Name("spiffe://shop/robot")], Code.UNAUTHENTICATED, Code.UNAUTHENTICATED),
}
"""Clients by their common name: other names, what becomes of a call for the lower right, and of one for the higher."""


async def test_a_certificate_has_the_rights_of_its_names(authority: Authority, tokens: TokensFile) -> None:
    tokens.write("infer cn:nightly", "infer dns:shop.example.org", "admin uri:spiffe://shop/robot", "infer alpha")
    settings = tls(authority.issue("server"), client_ca=authority.file) | {"tokens_file": tokens.path}
    async with hosting("prediction", **settings) as address:
        for name, (others, *expected) in CLIENTS.items():
            async with open_channel(address, Files(authority.file, authority.issue("c", name, *others))) as channel:
                assert [await status_of(channel, method) for method in (METADATA, LOAD)] == expected, name
                assert await status_of(channel, METADATA, "alpha") is Code.OK
                assert await status_of(channel, LOAD, "alpha") is Code.PERMISSION_DENIED
                assert await status_of(channel, METADATA, "wrong") is Code.UNAUTHENTICATED
                assert await status_of(channel, HEALTH) is Code.OK


async def test_no_header_makes_a_certificate(authority: Authority, tokens: TokensFile) -> None:
    tokens.write("admin cn:nightly")
    forged = [("x509_common_name", "nightly"), ("cn", "nightly")]
    settings = tls(authority.issue("server")) | {"tokens_file": tokens.path}
    client = Files(authority.file, authority.issue("c", "nightly"))
    async with hosting("prediction", **settings) as address, open_channel(address, client) as channel:
        assert await status_of(channel, METADATA, metadata=forged) is Code.UNAUTHENTICATED
