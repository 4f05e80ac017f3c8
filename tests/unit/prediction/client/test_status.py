import grpc
import pytest

from services.prediction.client import errors
from services.prediction.client.status import Question, is_retryable, translate
from tests.unit.prediction.client.answers import Answered

QUESTION = Question("localhost:1", 2.0, "m", "7")
Code = grpc.StatusCode

KINDS: dict[grpc.StatusCode, type[errors.ClientError]] = {
    Code.CANCELLED: errors.UnavailableError,
    Code.UNKNOWN: errors.ServerFaultError,
    Code.INVALID_ARGUMENT: errors.RefusedError,
    Code.DEADLINE_EXCEEDED: errors.DeadlineError,
    Code.NOT_FOUND: errors.UnknownModelError,
    Code.ALREADY_EXISTS: errors.ServerFaultError,
    Code.PERMISSION_DENIED: errors.PermissionDeniedError,
    Code.RESOURCE_EXHAUSTED: errors.ExhaustedError,
    Code.FAILED_PRECONDITION: errors.RefusedError,
    Code.ABORTED: errors.UnavailableError,
    Code.OUT_OF_RANGE: errors.RefusedError,
    Code.UNIMPLEMENTED: errors.UnsupportedError,
    Code.INTERNAL: errors.ServerFaultError,
    Code.UNAVAILABLE: errors.UnavailableError,
    Code.DATA_LOSS: errors.ServerFaultError,
    Code.UNAUTHENTICATED: errors.UnauthenticatedError,
}


def test_every_status_has_its_error() -> None:
    assert set(KINDS) == set(Code) - {Code.OK}
    assert {status: type(translate(Answered(status, "why"), QUESTION, 1)) for status in KINDS} == KINDS


@pytest.mark.parametrize("status", KINDS)
def test_every_error_says_why(status: grpc.StatusCode) -> None:
    assert "why" in str(translate(Answered(status, "why"), QUESTION, 1))
    assert status.name in str(translate(Answered(status), QUESTION, 1))


def test_only_a_service_that_goes_away_is_asked_again() -> None:
    assert {status for status in KINDS if is_retryable(Answered(status))} == {Code.UNAVAILABLE, Code.CANCELLED}


def test_errors_carry_what_was_asked() -> None:
    unknown = translate(Answered(Code.NOT_FOUND, "no"), QUESTION, 1)
    assert vars(unknown) == {"model": "m", "version": "7", "reason": "no"}
    late = translate(Answered(Code.DEADLINE_EXCEEDED, "late"), QUESTION, 1)
    assert vars(late) == {"timeout_s": 2.0, "reason": "late"}
    away = translate(Answered(Code.UNAVAILABLE, "stopping"), QUESTION, 4)
    assert vars(away) == {"address": "localhost:1", "reason": "stopping", "num_attempts": 4}


@pytest.mark.parametrize(
    "details",
    ["failed to connect to all addresses; last error: UNKNOWN: Connection refused", "errors resolving nohost:1: [...]"],
)
def test_nobody_there_is_an_error_of_its_own(details: str) -> None:
    assert type(translate(Answered(Code.UNAVAILABLE, details), QUESTION, 1)) is errors.UnreachableError
