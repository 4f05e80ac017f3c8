from pathlib import Path

import pytest
from pydantic import ValidationError

from services.rpc.settings import HostSettings

FILE = Path("file.pem")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tls_certificate": FILE, "tls_key": FILE},
        dict.fromkeys(("tls_certificate", "tls_key", "tls_client_ca"), FILE),
    ],
)
def test_tls_is_whole_or_absent(given: dict[str, Path]) -> None:
    HostSettings.model_validate(given)


@pytest.mark.parametrize(
    "names",
    [
        ("tls_certificate",),
        ("tls_key",),
        ("tls_client_ca",),
        ("tls_certificate", "tls_client_ca"),
        ("tls_key", "tls_client_ca"),
    ],
)
def test_a_part_of_tls_alone_is_refused(names: tuple[str, ...]) -> None:
    words = f"tls_certificate, tls_key: expected both, or no TLS at all, came {' and '.join(names)}"
    with pytest.raises(ValidationError, match=words):
        HostSettings.model_validate(dict.fromkeys(names, FILE))
