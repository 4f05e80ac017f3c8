"""Who takes the port: the native front where it can, or else gRPC's own server, which answers everything."""

import importlib.util
from collections.abc import Sequence

from services.prediction.data_plane import DataPlane
from services.prediction.flood_guard import FloodGuard
from services.prediction.messages import MessageReader
from services.prediction.servicer import POLICY
from services.prediction.settings import Settings
from services.rpc.authorization import Tokens, authorization_of, check
from services.rpc.errors import InvalidSettingsError
from services.rpc.hosting import Front


def make_front(settings: Settings, plane: DataPlane, tokens: Tokens) -> Front | None:
    """The native front; None where grpcio serves alone. Raises InvalidSettingsError if native is asked for in vain."""
    if settings.transport == "grpcio":
        return None
    if importlib.util.find_spec("pygrpc_native") is None:
        if settings.transport == "native":
            came = "an installation without it: it has wheels for Linux and macOS"
            raise InvalidSettingsError("transport", "the package pygrpc-native for native", came)
        return None
    from services.prediction.native import NativeFront  # noqa: PLC0415 - only where it is installed

    reader = MessageReader(plane, settings.max_request_rows, settings.max_message_bytes)

    def authorize(metadata: Sequence[tuple[str, str | bytes]]) -> None:
        if tokens:
            check(POLICY, tokens, POLICY.lower, authorization_of(metadata))

    guard = FloodGuard(2 * settings.max_pending_bytes)  # as much may wait, and as much arrive
    return NativeFront(reader, authorize, guard, settings.max_message_bytes)
