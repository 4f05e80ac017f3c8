import pickle

import pytest

from services.prediction.rest import errors
from services.rpc import errors as common
from services.rpc.errors import CallError
from services.rpc.status import STATUSES as GRPC_STATUSES
from tests.unit.prediction.test_errors import EXAMPLES

OWN: dict[CallError, int] = {
    errors.UnknownEncodingError("content-encoding", "gzip", "'br'"): 415,
    errors.TooLargeError("the answer", 1024): 413,
    errors.SlowBodyError(30.0): 408,
}
GRPC_TO_HTTP = {
    "NOT_FOUND": 404,
    "UNAVAILABLE": 503,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 504,
    "FAILED_PRECONDITION": 412,
    "INTERNAL": 500,
}


def test_both_tables_know_the_same_common_errors() -> None:
    assert set(errors.STATUSES) - {type(each) for each in OWN} == set(GRPC_STATUSES)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_of_the_service_has_the_status_that_goes_with_its_grpc_status(error: CallError) -> None:
    assert errors.status_of(error) == GRPC_TO_HTTP[EXAMPLES[error].name]


@pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)
def test_errors_of_http_have_their_own_and_survive_pickle(error: CallError) -> None:
    assert errors.status_of(error) == OWN[error]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_examples_cover_the_tree_and_the_tree_names_them() -> None:
    own = {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__}
    assert own == {type(each) for each in OWN}
    assert all(f" {each.__name__} " in str(errors.__doc__) for each in own)


def test_a_bug_is_told_by_its_request_id_alone(caplog: pytest.LogCaptureFixture) -> None:
    answer = errors.refusal(KeyError("secret"), "r-1", "/v2")
    assert (answer.status_code, answer.body) == (
        500,
        b'{"error":"internal error; the server\'s log has more under request id r-1"}',
    )
    assert "secret" in caplog.text


def test_an_unknown_caller_is_told_how_to_be_known() -> None:
    answer = errors.refusal(common.UnauthenticatedError(), "r-1", "/v2")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
