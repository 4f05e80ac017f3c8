"""Certificates and keys in PEM files: read, and checked before gRPC gets them, which says nothing of a wrong one."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from services.rpc.errors import InvalidSettingsError


@dataclass(frozen=True)
class Pair:
    """A certificate, with the chain up to its authority if there is one, and its private key; both PEM."""

    certificate: bytes
    key: bytes


def read_pair(certificate: Path, key: Path, names: tuple[str, str]) -> Pair:
    """A certificate and the key that belongs to it; `names` are what messages call the two.

    Raises InvalidSettingsError for files that cannot be read, and for two that do not belong together.
    """
    pair = Pair(_content(certificate, names[0]), _content(key, names[1]))
    try:
        # An encrypted key would be asked about on the terminal, if there were no password to try.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        expected = "a certificate and its key without a password, in PEM"
        raise InvalidSettingsError(", ".join(names), expected, f"{certificate} and {key}: {error}") from error
    return pair


def read_authorities(path: Path, name: str) -> bytes:
    """Certificates of authorities in PEM. Raises InvalidSettingsError for a file that cannot be read or holds none."""
    content = _content(path, name)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise InvalidSettingsError(name, "certificates of authorities in PEM", f"{path}: {error}") from error
    return content


def _content(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSettingsError(name, "a readable PEM file", f"{path} ({error.strerror})") from error
