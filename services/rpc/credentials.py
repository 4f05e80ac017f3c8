"""The tokens file: who has which right, by a token or by a client certificate.

    infer sha256:9f86d0...        a token, by its SHA-256: whoever reads the file cannot call with it
    admin cn:operations           a client certificate, by its common name,
    infer dns:shop.example.org    by a DNS name among its alternative names,
    infer uri:spiffe://shop/web   or by a URI among them
    infer 4711...                 a token in plain: taken, with a warning in the log

`#` begins a comment line. Light: the command that makes tokens needs it too.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.rpc.errors import InvalidSettingsError

CERTIFICATE_KINDS = ("cn", "dns", "uri")
"""Parts of a certificate that a line may name."""

_KIND = re.compile(r"([A-Za-z0-9]{2,8}):(.*)")


@dataclass(frozen=True)
class Credentials:
    """What a tokens file says."""

    tokens: Mapping[bytes, str]
    """The right of each token, by its SHA-256."""
    certificates: Mapping[str, str]
    """The right of each identity, such as `dns:shop.example.org`."""
    num_plain: int
    """Tokens that the file holds in plain."""


def new_token() -> str:
    """256 random bits in hexadecimal digits: so much that a fast hash of it tells nothing."""
    return secrets.token_hex(32)


def digest_of(token: str) -> bytes:
    """SHA-256. Looking a digest up takes a time that says nothing of the tokens, as nobody can aim at a digest."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def token_line(right: str, token: str) -> str:
    """The line that gives a token its right."""
    return f"{right} sha256:{digest_of(token).hex()}"


def identity(kind: str, name: str) -> str:
    """A part of a certificate as lines name it; case does not matter in DNS names."""
    return f"{kind}:{name.lower() if kind == 'dns' else name}"


def read_credentials(path: Path, rights: tuple[str, ...]) -> Credentials:
    """The lines of a tokens file.

    Raises InvalidSettingsError for an unreadable file, a wrong line (by number, without what it holds) or no line.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettingsError("tokens_file", "a readable text file", f"{path}: {error}") from error
    tokens: dict[bytes, str] = {}
    certificates: dict[str, str] = {}
    num_plain = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        right, holder = _parsed(line, rights, f"{path}, line {number}")
        match holder:
            case bytes():
                tokens[holder] = right
            case ("token", token):
                tokens[digest_of(token)] = right
                num_plain += 1
            case (kind, name):
                certificates[identity(kind, name)] = right
    if not tokens and not certificates:
        raise InvalidSettingsError("tokens_file", f"at least one line {_form(rights)}", f"{path} without any")
    return Credentials(tokens, certificates, num_plain)


def _parsed(line: str, rights: tuple[str, ...], place: str) -> tuple[str, bytes | tuple[str, str]]:
    """The right of a line, and its holder: a digest, or a kind with a name. No message repeats what may be a token."""
    right, _, rest = line.strip().partition(" ")
    holder = rest.strip()
    if right not in rights or not holder:
        raise InvalidSettingsError(place, _form(rights), f"{len(line.split())} words")
    found = _KIND.fullmatch(holder)
    kind, name = (found[1], found[2].strip()) if found else ("token", holder)
    if kind == "sha256" and re.fullmatch("[0-9a-fA-F]{64}", name):
        return right, bytes.fromhex(name)
    if kind == "sha256":
        raise InvalidSettingsError(place, "64 hexadecimal digits after sha256:", f"{len(name)} characters")
    if found and kind not in CERTIFICATE_KINDS:  # a slip such as `CN:` must not become a token that can be guessed
        raise InvalidSettingsError(place, _form(rights), f"the unknown kind {kind!r}")
    if not name or (kind != "cn" and len(name.split()) != 1):
        raise InvalidSettingsError(place, _form(rights), f"{len(line.split())} words")
    return right, (kind, name)


def _form(rights: tuple[str, ...]) -> str:
    return f"'RIGHT sha256:HEX' or 'RIGHT cn:NAME' (dns:NAME, uri:NAME), where RIGHT is {' or '.join(rights)}"
