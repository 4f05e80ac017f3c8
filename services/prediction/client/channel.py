"""Where the service is and how to get there: address, token, TLS and limits, as gRPC wants them."""

from dataclasses import dataclass, field
from pathlib import Path

import grpc

from services.prediction.client.errors import SettingsError
from services.rpc.channels import KEEPALIVE_OPTIONS, is_address, is_token

MAX_MESSAGE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ClientTls:
    """TLS to the service, with PEM files; a certificate and its key make it mutual."""

    ca: Path | None = None
    """Whom to trust; by default gRPC's own list of authorities."""
    certificate: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises SettingsError for one that cannot be read, or a certificate without its key."""
        if (self.certificate is None) != (self.key is None):
            came = "certificate alone" if self.key is None else "key alone"
            raise SettingsError("tls", "certificate and key together", came)
        return grpc.ssl_channel_credentials(
            _read("tls.ca", self.ca), _read("tls.key", self.key), _read("tls.certificate", self.certificate)
        )


@dataclass(frozen=True)
class Endpoint:
    """A service, and how this client talks to it. Raises SettingsError for what cannot work."""

    address: str
    token: str | None = field(default=None, repr=False)
    credentials: grpc.ChannelCredentials | None = None
    """None: no TLS."""
    max_send_bytes: int = MAX_MESSAGE_BYTES
    max_receive_bytes: int = MAX_MESSAGE_BYTES

    def __post_init__(self) -> None:
        if not is_address(self.address):
            raise SettingsError("address", "HOST:PORT", repr(self.address))
        if self.token is not None and not is_token(self.token):  # never shown, wrong or not
            raise SettingsError("token", "printable ASCII characters without spaces", "something else")
        for name, limit in (("max_send_bytes", self.max_send_bytes), ("max_receive_bytes", self.max_receive_bytes)):
            if limit < 1:
                raise SettingsError(name, "at least 1 byte", str(limit))

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, str | int]]:
        """Of the channel. What is tried again, and when, is decided by us alone."""
        return [
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),  # a name server may switch retries on
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),  # a service that is back is found within a second
            ("grpc.use_local_subchannel_pool", 1),  # a client has a connection of its own
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            *KEEPALIVE_OPTIONS,
        ]

    def open(self) -> grpc.Channel:
        """A channel for the synchronous client; it connects with the first call."""
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options=self.options)
        return grpc.secure_channel(self.address, self.credentials, options=self.options)

    def open_aio(self) -> grpc.aio.Channel:
        """The same for the asynchronous client; call it inside a running event loop."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.address, options=self.options)
        return grpc.aio.secure_channel(self.address, self.credentials, options=self.options)


def _read(field: str, path: Path | None) -> bytes | None:
    try:
        return None if path is None else path.read_bytes()
    except OSError as error:
        raise SettingsError(field, "a readable PEM file", f"{str(path)!r} ({error.strerror})") from error
