"""TLS of a server, whose certificates are read again when their files change: the next connection gets the new ones."""

from __future__ import annotations  # grpc's classes of certificates exist in the checker only

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from services.rpc.certificates import Pair, read_authorities, read_pair
from services.rpc.reloading import LOOK_INTERVAL_S, Reloading
from services.rpc.settings import HostSettings


@dataclass(frozen=True)
class _Identity:
    """What a server shows, and whom it trusts to vouch for clients."""

    pair: Pair
    client_ca: bytes | None


def server_credentials(
    settings: HostSettings, look_interval_s: float = LOOK_INTERVAL_S
) -> grpc.ServerCredentials | None:
    """What a port with TLS is opened with; None where none is configured. Raises InvalidSettingsError.

    gRPC asks for the certificates at every new connection, in a thread of its own. Connections that are open keep what
    they began with.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None or key is None:
        return None

    def read() -> _Identity:
        pair = read_pair(certificate, key, ("tls_certificate", "tls_key"))
        return _Identity(pair, None if client_ca is None else read_authorities(client_ca, "tls_client_ca"))

    paths = [path for path in (certificate, key, client_ca) if path is not None]
    identity = Reloading(paths, read, look_interval_s)
    first = identity.current()
    return grpc.dynamic_ssl_server_credentials(
        _configuration(first),
        _renewals(identity, first),  # type: ignore[arg-type]  # its stub forgets the None
        require_client_authentication=client_ca is not None,
    )


def _renewals(
    identity: Reloading[_Identity], given: _Identity
) -> Callable[[], grpc.ServerCertificateConfiguration | None]:
    """A function that gives what is new since it was last asked; None for nothing, which spares gRPC building anew."""

    def renewal() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        current = identity.current()
        if current is given:
            return None
        given = current
        return _configuration(current)

    return renewal


def _configuration(identity: _Identity) -> grpc.ServerCertificateConfiguration:
    pairs = [(identity.pair.key, identity.pair.certificate)]
    return grpc.ssl_server_certificate_configuration(pairs, root_certificates=identity.client_ca)
