import hashlib
import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rpc.credentials import Credentials, digest_of, identity, new_token, read_credentials, token_line
from services.rpc.errors import InvalidSettingsError

RIGHTS = ("look", "sell")


def read(folder: Path, text: str) -> Credentials:
    file = folder / "tokens"
    file.write_text(text)
    return read_credentials(file, RIGHTS)


def test_a_token_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    token = new_token()
    line = token_line("look", token)
    assert line == f"look sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    assert token not in line
    assert read(tmp_path, line) == Credentials({digest_of(token): "look"}, {}, 0)
    assert read(tmp_path, line.upper().replace("LOOK SHA256", "look sha256")).tokens == {digest_of(token): "look"}


def test_new_tokens_are_long_and_differ() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in made)


def test_tokens_in_plain_are_taken_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, "# people\n\nlook alpha\nsell   omega\n")
    assert found == Credentials({digest_of("alpha"): "look", digest_of("omega"): "sell"}, {}, 2)


def test_certificates_have_rights_by_their_names(tmp_path: Path) -> None:
    found = read(tmp_path, "look cn:Night Shift\nsell dns:Shop.Example.org\nlook uri:spiffe://shop/Web\n")
    assert found.certificates == {
        "cn:Night Shift": "look",
        "dns:shop.example.org": "sell",
        "uri:spiffe://shop/Web": "look",
    }
    assert (found.tokens, found.num_plain) == ({}, 0)
    assert identity("dns", "SHOP.example.org") in found.certificates


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at least one line 'RIGHT sha256:HEX'"),
        ("# none\n", "at least one line"),
        ("look\n", "line 1: expected 'RIGHT sha256:HEX' or 'RIGHT cn:NAME'"),
        ("look alpha\nroot s3cret\n", "line 2: expected .* where RIGHT is look or sell, came 2 words"),
        ("look s3cret more\n", "came 3 words"),
        ("s3cret\n", "came 1 words"),
        ("look sha256:s3cret\n", "expected 64 hexadecimal digits after sha256:, came 6 characters"),
        ("look cn:\n", "line 1"),
        ("look dns:s3cret more\n", "came 3 words"),
        ("look CN:s3cret\n", "came the unknown kind 'CN'"),
        ("look san:s3cret\n", "came the unknown kind 'san'"),
    ],
)
def test_a_wrong_file_is_refused_without_repeating_a_token(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidSettingsError, match=words) as refusal:
        read(tmp_path, text)
    assert "s3cret" not in str(refusal.value)


@settings(deadline=None)
@given(content=st.binary())
def test_any_file_is_read_or_refused(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tokens"
        file.write_bytes(content)
        with suppress(InvalidSettingsError):
            read_credentials(file, RIGHTS)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingsError, match="tokens_file: expected a readable text file"):
        read_credentials(tmp_path / "none", RIGHTS)
