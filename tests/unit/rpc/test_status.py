import logging

import grpc
import pytest

from services.rpc import errors
from services.rpc.status import MAX_TEXT_CHARS, answer_to, status_of
from tests.unit.rpc.test_errors import EXAMPLES

Code = grpc.StatusCode

EXPECTED: dict[type[Exception], grpc.StatusCode] = {
    errors.CallError: Code.INTERNAL,
    errors.InvalidRequestError: Code.INVALID_ARGUMENT,
    errors.NotFoundError: Code.NOT_FOUND,
    errors.AlreadyExistsError: Code.ALREADY_EXISTS,
    errors.PreconditionError: Code.FAILED_PRECONDITION,
    errors.ConflictError: Code.ABORTED,
    errors.ExhaustedError: Code.RESOURCE_EXHAUSTED,
    errors.MessageTooLargeError: Code.RESOURCE_EXHAUSTED,
    errors.DeadlineError: Code.DEADLINE_EXCEEDED,
    errors.NotReadyError: Code.UNAVAILABLE,
    errors.StoppingError: Code.UNAVAILABLE,
    errors.AccessError: Code.INTERNAL,
    errors.UnauthenticatedError: Code.UNAUTHENTICATED,
    errors.AccessDeniedError: Code.PERMISSION_DENIED,
    errors.FaultError: Code.INTERNAL,
    errors.SetupError: Code.INTERNAL,
    errors.InvalidSettingsError: Code.INTERNAL,
    errors.PortTakenError: Code.INTERNAL,
}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_its_status(error: Exception) -> None:
    assert status_of(error) is EXPECTED[type(error)]


def test_an_error_is_told_in_its_own_words_within_limits() -> None:
    assert answer_to(errors.NotFoundError("no such thing"), "id") == (Code.NOT_FOUND, "no such thing")
    assert len(answer_to(errors.NotFoundError("x" * 100_000), "id")[1]) == MAX_TEXT_CHARS


def test_a_bug_is_told_in_fixed_words_and_logged_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    code, text = answer_to(KeyError("secret"), "4711")
    assert code is Code.INTERNAL
    assert "secret" not in text
    assert text.endswith("4711")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "4711" in record.getMessage()
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])
