import logging

import grpc
import pytest

from services.prediction import errors
from services.prediction.errors import PredictionError
from services.prediction.status import MAX_TEXT_CHARS, answer_to, status_of
from tests.unit.prediction.test_errors import EXAMPLES

Code = grpc.StatusCode

EXPECTED: dict[type[Exception], grpc.StatusCode] = {
    PredictionError: Code.INTERNAL,
    errors.InvalidRequestError: Code.INVALID_ARGUMENT,
    errors.NotFoundError: Code.NOT_FOUND,
    errors.UnknownModelError: Code.NOT_FOUND,
    errors.UnknownVersionError: Code.NOT_FOUND,
    errors.NotReadyError: Code.UNAVAILABLE,
    errors.ModelNotReadyError: Code.UNAVAILABLE,
    errors.RegistryAwayError: Code.UNAVAILABLE,
    errors.StoppingError: Code.UNAVAILABLE,
    errors.QueueFullError: Code.RESOURCE_EXHAUSTED,
    errors.DeadlineExpiredError: Code.DEADLINE_EXCEEDED,
    errors.LoadFailedError: Code.FAILED_PRECONDITION,
    errors.AccessError: Code.INTERNAL,
    errors.UnauthenticatedError: Code.UNAUTHENTICATED,
    errors.AccessDeniedError: Code.PERMISSION_DENIED,
    errors.InferenceFailedError: Code.INTERNAL,
    errors.SetupError: Code.INTERNAL,
    errors.InvalidSettingsError: Code.INTERNAL,
    errors.PortTakenError: Code.INTERNAL,
}


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_its_status(error: PredictionError) -> None:
    assert status_of(error) is EXPECTED[type(error)]


def test_an_error_is_told_in_its_own_words_within_limits() -> None:
    assert answer_to(errors.UnknownModelError("digits")) == (Code.NOT_FOUND, "unknown model 'digits'")
    assert len(answer_to(errors.LoadFailedError("digits", "1", "x" * 100_000))[1]) == MAX_TEXT_CHARS


def test_a_bug_is_told_in_fixed_words_and_logged_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    code, text = answer_to(KeyError("secret"))
    assert code is Code.INTERNAL
    assert "secret" not in text
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert text.rsplit(" ", 1)[1] in record.getMessage()
    assert record.exc_info is not None
    assert "secret" in str(record.exc_info[1])
