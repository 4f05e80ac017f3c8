"""Who takes the port: the native front where it can, or else gRPC's own server, which answers everything."""

import importlib.util
from collections.abc import Sequence

from services.prediction.data_plane import DataPlane
from services.prediction.flood_guard import FloodGuard
from services.prediction.messages import MessageReader
from services.prediction.settings import Settings
from services.rpc.access import authorization_of
from services.rpc.authorization import Authorizer
from services.rpc.errors import InvalidSettingsError
from services.rpc.hosting import Front

WHOLE_MESSAGES = 8
"""Of the largest size, that may arrive at the same time at least."""


def make_front(settings: Settings, plane: DataPlane, authorizer: Authorizer) -> Front | None:
    """The native front; None where grpcio serves alone. Raises InvalidSettingsError if native is asked for in vain."""
    if settings.transport == "grpcio":
        return None
    if settings.tls_certificate is not None:
        if settings.transport == "native":
            raise InvalidSettingsError("transport", "grpcio or auto with TLS", "native, which has no TLS")
        return None
    if importlib.util.find_spec("pygrpc_native") is None:
        if settings.transport == "native":
            came = "an installation without it: it has wheels for Linux and macOS"
            raise InvalidSettingsError("transport", "the package pygrpc-native for native", came)
        return None
    from services.prediction.native import METHOD, NativeFront  # noqa: PLC0415 - only where it is installed

    reader = MessageReader(plane, settings.max_request_rows, settings.max_message_bytes)

    def authorize(metadata: Sequence[tuple[str, str | bytes]]) -> None:
        authorizer.check(METHOD, authorization_of(metadata))

    def let_pass(metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Nobody needs a token."""

    # As much may arrive as may wait; and whole messages that are allowed, of several callers, are no flood.
    guard = FloodGuard(max(2 * settings.max_pending_bytes, WHOLE_MESSAGES * settings.max_message_bytes))
    return NativeFront(reader, authorize if authorizer.guards(METHOD) else let_pass, guard, settings)
