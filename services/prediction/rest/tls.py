"""TLS of the REST port: the certificates of the gRPC port, read again when their files change."""

import ssl

from services.rpc.certificates import read_authorities, read_pair
from services.rpc.reloading import LOOK_INTERVAL_S, Reloading
from services.rpc.settings import HostSettings


def server_context(settings: HostSettings, look_interval_s: float = LOOK_INTERVAL_S) -> ssl.SSLContext | None:
    """What the port is opened with; None where no TLS is configured. Raises InvalidSettingsError.

    Every handshake asks for the newest certificate. That of the authority too, as OpenSSL looks it up in the context
    that the handshake was given; whether clients must show one stays as it was at the start.
    """
    certificate, key, client_ca = settings.tls_certificate, settings.tls_key, settings.tls_client_ca
    if certificate is None or key is None:
        return None

    def read() -> ssl.SSLContext:
        read_pair(certificate, key, ("tls_certificate", "tls_key"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=read_authorities(client_ca, "tls_client_ca").decode("ascii"))
        return context

    newest = Reloading([path for path in (certificate, key, client_ca) if path is not None], read, look_interval_s)

    def use_newest(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = newest.current()

    context = read()
    context.sni_callback = use_newest  # called with or without a name
    return context
