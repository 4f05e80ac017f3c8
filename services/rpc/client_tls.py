"""TLS as a client sets it up, by variables of the environment: for both services, and for the health probe.

| variable | what it does |
|---|---|
| DRIVETRAIN_TLS_CA | speak TLS, and trust the authorities in this PEM file; `public`: those that gRPC knows by itself |
| DRIVETRAIN_TLS_CERTIFICATE, DRIVETRAIN_TLS_KEY | the client's certificate and key, where the service asks for one |
| DRIVETRAIN_TLS_NAME | the name that the service's certificate has, where it is not that of the address |
"""

from __future__ import annotations  # grpc's class of credentials takes its place in the checker only

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.rpc.certificates import Pair, read_authorities, read_pair
from services.rpc.errors import InvalidSettingsError

CA_VARIABLE, NAME_VARIABLE = "DRIVETRAIN_TLS_CA", "DRIVETRAIN_TLS_NAME"
CERTIFICATE_VARIABLE, KEY_VARIABLE = "DRIVETRAIN_TLS_CERTIFICATE", "DRIVETRAIN_TLS_KEY"

PUBLIC = "public"
"""In place of a file: the authorities that gRPC brings with it."""

Options = Sequence[tuple[str, str | int]]


@dataclass(frozen=True)
class ClientTls:
    """What a client trusts and shows; `authorities` is None for the public ones."""

    authorities: bytes | None
    pair: Pair | None
    name: str

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC opens a channel with."""
        pair = self.pair
        return grpc.ssl_channel_credentials(
            self.authorities,
            private_key=None if pair is None else pair.key,
            certificate_chain=None if pair is None else pair.certificate,
        )

    def options(self) -> Options:
        """Options of the channel."""
        return [("grpc.ssl_target_name_override", self.name)] if self.name else []


def client_tls(environment: Mapping[str, str] = os.environ) -> ClientTls | None:
    """What the variables say; None where they ask for no TLS. Raises InvalidSettingsError that names the variable."""
    ca, name = environment.get(CA_VARIABLE, ""), environment.get(NAME_VARIABLE, "")
    certificate, key = environment.get(CERTIFICATE_VARIABLE, ""), environment.get(KEY_VARIABLE, "")
    given = [each for each in (CERTIFICATE_VARIABLE, KEY_VARIABLE, NAME_VARIABLE) if environment.get(each)]
    if given and not ca:
        expected = f"a PEM file with authorities, or {PUBLIC!r}, wherever TLS is set up"
        raise InvalidSettingsError(CA_VARIABLE, expected, f"only {' and '.join(given)}")
    if bool(certificate) != bool(key):
        raise InvalidSettingsError(
            f"{CERTIFICATE_VARIABLE}, {KEY_VARIABLE}",
            "both or neither",
            CERTIFICATE_VARIABLE if certificate else KEY_VARIABLE,
        )
    if not ca:
        return None
    authorities = None if ca == PUBLIC else read_authorities(Path(ca), CA_VARIABLE)
    pair = read_pair(Path(certificate), Path(key), (CERTIFICATE_VARIABLE, KEY_VARIABLE)) if certificate else None
    return ClientTls(authorities, pair, name)


def open_channel(address: str, options: Options, tls: ClientTls | None) -> grpc.Channel:
    """A channel to HOST:PORT, with TLS where it is set up."""
    if tls is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, tls.credentials(), options=[*options, *tls.options()])
