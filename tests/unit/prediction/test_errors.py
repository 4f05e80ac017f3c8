import pickle

import grpc
import pytest

from services.prediction import errors
from services.rpc.errors import CallError
from services.rpc.status import status_of

Code = grpc.StatusCode

EXAMPLES: dict[CallError, grpc.StatusCode] = {
    errors.UnknownModelError("digits"): Code.NOT_FOUND,
    errors.UnknownVersionError("digits", "7", "1"): Code.NOT_FOUND,
    errors.UnknownAliasError("digits", "best", ("champion",)): Code.NOT_FOUND,
    errors.ModelNotReadyError("digits", "no champion"): Code.UNAVAILABLE,
    errors.RegistryAwayError(): Code.UNAVAILABLE,
    errors.StartingError(): Code.UNAVAILABLE,
    errors.QueueFullError("digits", 8): Code.RESOURCE_EXHAUSTED,
    errors.LongWaitError("digits", 1.5, 1.0): Code.RESOURCE_EXHAUSTED,
    errors.MemoryFullError(2**28): Code.RESOURCE_EXHAUSTED,
    errors.TooManyStreamsError(2): Code.RESOURCE_EXHAUSTED,
    errors.DeadlineExpiredError("digits"): Code.DEADLINE_EXCEEDED,
    errors.LoadFailedError("digits", "2", "golden rows differ"): Code.FAILED_PRECONDITION,
    errors.InferenceFailedError("digits", "1", "bad index"): Code.INTERNAL,
}


def classes() -> set[type[object]]:
    return {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__}


def test_the_examples_cover_the_tree() -> None:
    assert {type(error) for error in EXAMPLES} == classes()


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert all(f" {each.__name__} " in f"{errors.__doc__} ".replace("\n", " ") for each in classes())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_its_status(error: CallError) -> None:
    assert status_of(error) is EXAMPLES[error]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_have_a_text_and_survive_pickle(error: CallError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert len(str(error)) > 5
