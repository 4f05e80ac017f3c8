import grpc
import pytest

from services.cli.errors import AccessError, AwayError, InputError, ServiceError, TransientError
from services.cli.prediction_client import prediction_client
from services.prediction.client import errors
from services.prediction.client.status import Question, translate
from tests.unit.prediction.client.answers import Answered


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIVETRAIN_TOKEN", raising=False)
    monkeypatch.delenv("DRIVETRAIN_TOKEN_FILE", raising=False)


def told(error: errors.ClientError, cause: grpc.RpcError | None = None) -> Exception:
    """What leaves the block when the client raises `error` in it."""
    with pytest.raises(Exception) as caught, prediction_client("localhost:1"):  # noqa: PT011 - its kind is the question
        raise error from cause
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("status", "details", "kind", "message"),
    [
        ("INVALID_ARGUMENT", "x: expected y", InputError, "the prediction service refused the request: x: expected y"),
        ("NOT_FOUND", "unknown model 'm'", InputError, "the prediction service refused the request: unknown model 'm'"),
        ("UNAVAILABLE", "failed to connect", AwayError, "no prediction service answers at localhost:1; start one with"),
        ("UNAVAILABLE", "stopping", TransientError, "the prediction service at localhost:1 could not answer: stopping"),
        ("DEADLINE_EXCEEDED", "late", TransientError, "the prediction service at localhost:1 could not answer: late"),
        (
            "UNAUTHENTICATED",
            "no",
            AccessError,
            "the prediction service at localhost:1 wants a token: put it into DRI",
        ),
        ("UNIMPLEMENTED", "", ServiceError, "what listens at localhost:1 is no prediction service, or one too old"),
        ("INTERNAL", "internal error", ServiceError, "the prediction service answered INTERNAL: internal error"),
    ],
)
def test_what_the_service_answers_is_told_as_of_any_service(
    status: str, details: str, kind: type[Exception], message: str
) -> None:
    answered = Answered(grpc.StatusCode[status], details)
    error = told(translate(answered, Question("localhost:1", 1.0), 1), answered)
    assert type(error) is kind
    assert str(error).startswith(message)


def test_what_the_client_finds_itself_is_the_users_or_the_services() -> None:
    wrong = told(errors.InvalidDataError("inputs[x].shape", "[-1, 2]", "[1, 3]"))
    assert type(wrong) is InputError
    assert str(wrong) == "inputs[x].shape: expected [-1, 2], came [1, 3]"
    assert type(told(errors.MalformedAnswerError("outputs[x]: expected 4 bytes"))) is ServiceError


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), prediction_client("localhost:1"):
        raise KeyError


def test_an_address_that_is_none_is_the_users() -> None:
    with (
        pytest.raises(InputError, match="address of the prediction service: expected HOST:PORT, came 'here'"),
        prediction_client("here"),
    ):
        pass
