from pathlib import Path

import pytest

from services.rpc.certificates import read_authorities, read_pair
from services.rpc.errors import InvalidSettingsError
from tests.unit.rpc.authority import Authority

NAMES = ("tls_certificate", "tls_key")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_pair_is_what_the_files_hold(authority: Authority) -> None:
    certificate, key = authority.issue("server")
    pair = read_pair(certificate, key, NAMES)
    assert (pair.certificate, pair.key) == (certificate.read_bytes(), key.read_bytes())


def test_authorities_are_what_the_file_holds(authority: Authority) -> None:
    assert read_authorities(authority.file, "tls_client_ca") == authority.file.read_bytes()


def test_a_certificate_with_the_key_of_another_is_refused(authority: Authority) -> None:
    certificate, _ = authority.issue("one")
    _, key = authority.issue("other")
    with pytest.raises(InvalidSettingsError, match="tls_certificate, tls_key: expected a certificate and its key"):
        read_pair(certificate, key, NAMES)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(authority: Authority) -> None:
    with pytest.raises(InvalidSettingsError, match="without a password"):
        read_pair(*authority.issue("server", password=b"secret"), NAMES)


def test_a_missing_file_is_named_by_its_field(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("server")
    with pytest.raises(InvalidSettingsError, match=r"^tls_key: expected a readable PEM file, came .*none \(No such"):
        read_pair(certificate, tmp_path / "none", NAMES)
    with pytest.raises(InvalidSettingsError, match=r"^tls_certificate: expected a readable PEM file"):
        read_pair(tmp_path, key, NAMES)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidSettingsError, match="tls_client_ca: expected certificates of authorities in PEM"):
        read_authorities(path, "tls_client_ca")
    with pytest.raises(InvalidSettingsError, match="tls_certificate, tls_key: expected a certificate and its key"):
        read_pair(path, path, NAMES)
