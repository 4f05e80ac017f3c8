"""Where the service is and how to get there: address, token, TLS and limits, as gRPC wants them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc

from services.prediction.client.errors import SettingsError
from services.rpc.channels import KEEPALIVE_OPTIONS, is_address, is_token

MAX_MESSAGE_BYTES = 64 * 2**20


Options = Sequence[tuple[str, str | int]]

_OPTIONS: Options = [
    ("grpc.enable_retries", 0),  # what is tried again, and when, is decided by us alone
    ("grpc.service_config_disable_resolution", 1),  # a name server may switch retries on
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # a service that is back is found within a second
    ("grpc.use_local_subchannel_pool", 1),  # a client has a connection of its own
    *KEEPALIVE_OPTIONS,
]


class Tls(Protocol):
    """What a client needs of TLS; `ClientTls` has it from files."""

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC opens a channel with."""

    def options(self) -> Options:
        """Of the channel."""


@dataclass(frozen=True)
class ClientTls:
    """TLS to the service, with PEM files; a certificate and its key make it mutual."""

    ca: Path | None = None
    """Whom to trust; by default gRPC's own list of authorities."""
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""
    """The name in the service's certificate, where it is not that of the address."""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises SettingsError for one that cannot be read, or a certificate without its key."""
        if (self.certificate is None) != (self.key is None):
            came = "certificate alone" if self.key is None else "key alone"
            raise SettingsError("tls", "certificate and key together", came)
        return grpc.ssl_channel_credentials(
            _read("tls.ca", self.ca), _read("tls.key", self.key), _read("tls.certificate", self.certificate)
        )

    def options(self) -> Options:
        """The service's name, if it is another."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


class Endpoint:
    """A service, and how this client talks to it. Raises SettingsError for what cannot work."""

    def __init__(
        self, address: str, token: str | None, tls: Tls | None, max_send_bytes: int, max_receive_bytes: int
    ) -> None:
        if not is_address(address):
            raise SettingsError("address", "HOST:PORT", repr(address))
        if token is not None and not is_token(token):  # never shown, wrong or not
            raise SettingsError("token", "printable ASCII characters without spaces", "something else")
        for name, limit in (("max_send_bytes", max_send_bytes), ("max_receive_bytes", max_receive_bytes)):
            if limit < 1:
                raise SettingsError(name, "at least 1 byte", str(limit))
        self._address, self._credentials = address, None if tls is None else tls.credentials()
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        """What goes with every call."""
        self._options = [
            *_OPTIONS,
            ("grpc.max_send_message_length", max_send_bytes),
            ("grpc.max_receive_message_length", max_receive_bytes),
            *(() if tls is None else tls.options()),
        ]

    def open(self) -> grpc.Channel:
        """A channel for the synchronous client; it connects with the first call."""
        if self._credentials is None:
            return grpc.insecure_channel(self._address, options=self._options)
        return grpc.secure_channel(self._address, self._credentials, options=self._options)

    def open_aio(self) -> grpc.aio.Channel:
        """The same for the asynchronous client; call it inside a running event loop."""
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=self._options)
        return grpc.aio.secure_channel(self._address, self._credentials, options=self._options)


def _read(field: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise SettingsError(field, "a readable PEM file", f"{str(path)!r} ({error.strerror})") from error
