from pathlib import Path

import pytest

from services.prediction.client import AsyncPredictionClient, ClientTls, PredictionClient
from services.prediction.client.channel import Endpoint
from services.prediction.client.errors import SettingsError

Client = type[PredictionClient] | type[AsyncPredictionClient]
both = pytest.mark.parametrize("client", [PredictionClient, AsyncPredictionClient])


@both
@pytest.mark.parametrize("address", ["", "localhost", ":8001", "http://localhost:8001", "localhost:grpc"])
def test_an_address_is_a_host_and_a_port(client: Client, address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        client(address)
    assert str(caught.value) == f"address: expected HOST:PORT, came {address!r}"


@both
@pytest.mark.parametrize("token", ["", "two words", "zwölf", "a\nb"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(client: Client, token: str) -> None:
    with pytest.raises(SettingsError, match=r"^token: expected printable ASCII") as caught:
        client("localhost:1", token)
    assert not token or token not in str(caught.value)


@both
def test_limits_and_times_are_positive(client: Client) -> None:
    with pytest.raises(SettingsError, match=r"^timeout_s: "):
        client("localhost:1", timeout_s=0)
    with pytest.raises(SettingsError, match=r"^max_receive_bytes: expected at least 1 byte, came 0"):
        client("localhost:1", max_receive_bytes=0)


@both
def test_certificates_are_read_when_the_client_is_made(client: Client, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^tls.ca: expected a readable PEM file, came '.*none.pem' \(No such file"):
        client("localhost:1", tls=ClientTls(ca=tmp_path / "none.pem"))
    with pytest.raises(SettingsError, match=r"^tls: expected certificate and key together, came certificate alone"):
        client("localhost:1", tls=ClientTls(certificate=tmp_path / "none.pem"))
    with pytest.raises(SettingsError, match="came key alone"):
        client("localhost:1", tls=ClientTls(key=tmp_path / "none.pem"))


def test_a_token_goes_with_every_call_and_is_not_shown() -> None:
    endpoint = Endpoint("localhost:1", "secret", None, 1, 1)
    assert endpoint.metadata == (("authorization", "Bearer secret"),)
    assert "secret" not in repr(endpoint)
    assert Endpoint("localhost:1", None, None, 1, 1).metadata == ()


def test_the_name_in_the_certificate_may_be_another() -> None:
    assert ClientTls(name="prediction").options() == [("grpc.ssl_target_name_override", "prediction")]
    assert ClientTls().options() == []
