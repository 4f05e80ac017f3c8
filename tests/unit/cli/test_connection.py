from pathlib import Path

import grpc
import pytest

from services.cli.connection import Connection, Service, read_token
from services.cli.errors import AccessError, AwayError, InputError, ServiceError, TransientError

SERVICE = Service("training", "drivetrain.training.v1.TrainingService", "start one with: this")


class Answered(grpc.RpcError):
    """What gRPC raises: an error that is also the call."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__()
        self._status, self._details = status, details

    def code(self) -> grpc.StatusCode:
        return self._status

    def details(self) -> str:
        return self._details


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIVETRAIN_TOKEN", raising=False)
    monkeypatch.delenv("DRIVETRAIN_TOKEN_FILE", raising=False)
    for name in ("CA", "CERTIFICATE", "KEY", "NAME"):
        monkeypatch.delenv(f"DRIVETRAIN_TLS_{name}", raising=False)


@pytest.mark.parametrize("address", ["localhost:8003", "10.0.0.1:1", "[::1]:8003", "training.example.com:65535"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with Connection(SERVICE, address) as connection:
        assert connection.address == address


@pytest.mark.parametrize("address", ["", "localhost", ":8003", "localhost:", "http://localhost:8003", "localhost:http"])
def test_anything_else_is_refused_at_once(address: str) -> None:
    with pytest.raises(InputError) as caught:
        Connection(SERVICE, address)
    assert str(caught.value) == f"address of the training service: expected HOST:PORT, came {address!r}"


def test_the_token_comes_from_the_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_token() == ("", "")
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("DRIVETRAIN_TOKEN_FILE", str(tmp_path / "token"))
    assert read_token() == ("from-file", "DRIVETRAIN_TOKEN_FILE")
    monkeypatch.setenv("DRIVETRAIN_TOKEN", " direct ")
    assert read_token() == ("direct", "DRIVETRAIN_TOKEN")
    with Connection(SERVICE, "localhost:1") as connection:
        assert connection.metadata == (("authorization", "Bearer direct"),)


@pytest.mark.parametrize("token", ["two words", "zwölf", "a\nb"])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN", token)
    with pytest.raises(InputError, match="DRIVETRAIN_TOKEN: expected one token") as caught:
        read_token()
    assert token not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(
        InputError, match=r"DRIVETRAIN_TOKEN_FILE: expected a readable file with a token, came '.*none'"
    ):
        read_token()


@pytest.mark.parametrize(
    ("status", "details", "kind", "message"),
    [
        ("INVALID_ARGUMENT", "x: expected y", InputError, "the training service refused the request: x: expected y"),
        ("NOT_FOUND", "unknown job 'a'", InputError, "the training service refused the request: unknown job 'a'"),
        ("ALREADY_EXISTS", "taken", InputError, "the training service refused the request: taken"),
        ("FAILED_PRECONDITION", "ended", InputError, "the training service refused the request: ended"),
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNKNOWN: Connection refused",
            AwayError,
            "no training service answers at localhost:1; start one with: this",
        ),
        ("UNAVAILABLE", "errors resolving nohost:1: [...]", AwayError, "no training service answers at localhost:1; "),
        ("UNAVAILABLE", "Trying to connect an http1.x server", AwayError, "no training service answers at localhost:1"),
        (
            "UNAVAILABLE",
            "the Ray cluster cannot be reached",
            TransientError,
            "the training service at localhost:1 could not answer: the Ray cluster cannot be reached (UNAVAILABLE)",
        ),
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:1: Socket closed",
            TransientError,
            "the training service at localhost:1 closes connections: it starts, stops, or speaks TLS alone: then set ",
        ),
        (
            "UNAVAILABLE",
            "failed to connect to all addresses; last error: UNKNOWN: Tls handshake failed: CERTIFICATE_VERIFY_FAILED",
            AccessError,
            "no TLS with the training service at localhost:1: its certificate is of no authority in DRIVETRAIN_TLS_CA",
        ),
        ("UNAVAILABLE", "Socket closed", TransientError, "the training service at localhost:1 could not answer: Soc"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", TransientError, "the training service at localhost:1 could not"),
        ("ABORTED", "busy", TransientError, "the training service at localhost:1 could not answer: busy (ABORTED)"),
        (
            "UNAUTHENTICATED",
            "no",
            AccessError,
            "the training service at localhost:1 wants a token: put it into DRIVETRAIN_TOKEN, or the path of its file "
            "into DRIVETRAIN_TOKEN_FILE",
        ),
        ("PERMISSION_DENIED", "needs 'submit'", AccessError, "the training service at localhost:1 does not allow this"),
        ("UNIMPLEMENTED", "", ServiceError, "what listens at localhost:1 is no training service, or one too old"),
        ("RESOURCE_EXHAUSTED", "the queue is full", ServiceError, "the training service answered RESOURCE_EXHAUSTED: "),
        ("INTERNAL", "internal error", ServiceError, "the training service answered INTERNAL: internal error"),
    ],
)
def test_a_status_becomes_an_error_that_says_what_to_do(
    status: str, details: str, kind: type[Exception], message: str
) -> None:
    with Connection(SERVICE, "localhost:1") as connection:
        error = connection.explain(Answered(grpc.StatusCode[status], details))
    assert type(error) is kind
    assert str(error).startswith(message)


def test_a_wrong_variable_of_tls_is_the_users_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TLS_CA", "none.pem")
    with pytest.raises(InputError, match=r"^DRIVETRAIN_TLS_CA: expected a readable PEM file, came none\.pem"):
        Connection(SERVICE, "localhost:1")


def test_a_service_of_ones_own_is_spoken_to_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TLS_CA", "none.pem")
    with Connection(SERVICE, "localhost:1", plain=True) as connection:
        assert connection.tls is None


def test_an_unknown_token_is_named_by_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN", "secret")
    with Connection(SERVICE, "localhost:1") as connection:
        told = str(connection.explain(Answered(grpc.StatusCode.UNAUTHENTICATED, "")))
    assert told == "the training service at localhost:1 does not know the token in DRIVETRAIN_TOKEN"
