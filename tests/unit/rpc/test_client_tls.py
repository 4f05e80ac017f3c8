from pathlib import Path

import pytest

from services.rpc.client_tls import client_tls
from services.rpc.errors import InvalidSettingsError
from tests.unit.rpc.authority import Authority


def test_without_the_variables_there_is_no_tls() -> None:
    assert client_tls({}) is None
    assert client_tls({"DRIVETRAIN_TLS_CA": "", "DRIVETRAIN_TLS_KEY": ""}) is None


def test_the_variables_name_files(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("client")
    found = client_tls(
        {
            "DRIVETRAIN_TLS_CA": str(authority.file),
            "DRIVETRAIN_TLS_CERTIFICATE": str(certificate),
            "DRIVETRAIN_TLS_KEY": str(key),
            "DRIVETRAIN_TLS_NAME": "shop.example.org",
        }
    )
    assert found is not None
    assert found.pair is not None
    assert (found.authorities, found.pair.key) == (authority.file.read_bytes(), key.read_bytes())
    assert found.options() == [("grpc.ssl_target_name_override", "shop.example.org")]


def test_the_public_authorities_need_no_file() -> None:
    found = client_tls({"DRIVETRAIN_TLS_CA": "public"})
    assert found is not None
    assert (found.authorities, found.pair, found.options()) == (None, None, [])


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CA": "none"}, "^DRIVETRAIN_TLS_CA: expected a readable PEM file, came none"),
        (
            {"CERTIFICATE": "c", "KEY": "k"},
            "^DRIVETRAIN_TLS_CA: .* only DRIVETRAIN_TLS_CERTIFICATE and DRIVETRAIN_TLS_",
        ),
        ({"NAME": "n"}, "^DRIVETRAIN_TLS_CA: expected .*'public'.* came only DRIVETRAIN_TLS_NAME"),
        ({"CA": "public", "KEY": "k"}, "^DRIVETRAIN_TLS_CERTIFICATE, DRIVETRAIN_TLS_KEY: .* came DRIVETRAIN_TLS_KEY$"),
        ({"CA": "public", "CERTIFICATE": "c", "KEY": "k"}, "^DRIVETRAIN_TLS_CERTIFICATE: expected a readable PEM file"),
    ],
)
def test_an_error_names_its_variable(variables: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidSettingsError, match=words):
        client_tls({f"DRIVETRAIN_TLS_{name}": text for name, text in variables.items()})
