"""Connections that end before a call gets through: from gRPC's words about TLS to the variable that mends it."""

import re

from services.cli.errors import AccessError, ServiceError, TransientError
from services.rpc.client_tls import CA_VARIABLE, CERTIFICATE_VARIABLE, NAME_VARIABLE, ClientTls

_CAUSES = {
    "Hostname Verification": f"its certificate is for another name; if you know which, put it into {NAME_VARIABLE}",
    "CERTIFICATE_VERIFY_FAILED": f"its certificate is of no authority in {CA_VARIABLE}, or out of date",
    "WRONG_VERSION_NUMBER": f"it does not speak TLS, which {CA_VARIABLE} asks for",
}
_CLOSED = re.compile("failed to connect.*(socket closed|connection reset)", re.IGNORECASE | re.DOTALL)
"""The other side took the connection and ended it, without saying why: so does TLS to who speaks plainly."""


def error_of_handshake(who: str, details: str, tls: ClientTls | None) -> ServiceError | None:
    """What gRPC's text of an UNAVAILABLE says of TLS; None where it says nothing."""
    if cause := next((text for mark, text in _CAUSES.items() if mark in details), None):
        return AccessError(f"no TLS with {who}: {cause}")
    if not _CLOSED.search(details):
        return None
    if tls is None:
        wish = f"speaks TLS alone: then set {CA_VARIABLE}"
    elif tls.pair is None:
        wish = f"wants a client certificate: then set {CERTIFICATE_VARIABLE}"
    else:
        wish = f"does not trust the certificate in {CERTIFICATE_VARIABLE}"
    return TransientError(f"{who} closes connections: it starts, stops, or {wish}")
