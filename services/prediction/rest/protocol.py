"""uvicorn's HTTP/1.1 with what it leaves out: a limit of connections, and a time for headers and for slow readers.

A subclass of its pure Python parser (h11), which a test holds against the versions in use; what it adds is small.
"""

import asyncio
from typing import Any

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.rpc.credentials import identity

_FULL_TEXT = b'{"error":"the server has as many connections as it takes"}'
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_FULL_TEXT), _FULL_TEXT)
)


class GuardedProtocol(H11Protocol):
    """One connection. `max_connections` and `within_s` are set in a subclass that `guarded` makes for a server."""

    max_connections: int
    within_s: float
    _end: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = self.app_state | {"identities": identities(transport.get_extra_info("peercert"))}
        self._expect_request()
        if len(self.connections) > self.max_connections:
            transport.write(FULL)
            transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    @override
    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self._expect_nothing()  # from here on the application limits the time

    @override
    def on_response_complete(self) -> None:
        self._expect_request()
        super().on_response_complete()

    def _expect_request(self) -> None:
        """Within the time the answer before must have left, and the next request's headers must be there."""
        self._expect_nothing()
        self._end = self.loop.call_later(self.within_s, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._end is not None:
            self._end.cancel()


def guarded(max_connections: int, within_s: float) -> type[GuardedProtocol]:
    """The protocol of a server with these limits."""
    return type("Guarded", (GuardedProtocol,), {"max_connections": max_connections, "within_s": within_s})


def identities(certificate: dict[str, Any] | None) -> list[str]:
    """The names in a client certificate that TLS has verified, as lines of the tokens file have them."""
    parts = certificate or {}
    subject = [("cn", value) for pairs in parts.get("subject", ()) for key, value in pairs if key == "commonName"]
    kinds = {"DNS": "dns", "URI": "uri"}
    others = [(kinds[key], value) for key, value in parts.get("subjectAltName", ()) if key in kinds]
    return [identity(kind, name) for kind, name in subject + others]
