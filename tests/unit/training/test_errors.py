import pickle

import grpc
import pytest

from pipelines.errors import Mismatch
from services.rpc.errors import CallError
from services.rpc.status import status_of
from services.training import errors

Code = grpc.StatusCode

EXAMPLES: dict[CallError, grpc.StatusCode] = {
    errors.InvalidSpecError((Mismatch("training.epochs", "a number", "'x'"),)): Code.INVALID_ARGUMENT,
    errors.UnknownJobError("4711"): Code.NOT_FOUND,
    errors.KeyReusedError("monday", "4711"): Code.ALREADY_EXISTS,
    errors.JobStateError("4711", "FINISHED", "a FAILED or KILLED job"): Code.FAILED_PRECONDITION,
    errors.CapacityError("too much"): Code.FAILED_PRECONDITION,
    errors.TrackingRefusedError(): Code.FAILED_PRECONDITION,
    errors.QueueFullError(8): Code.RESOURCE_EXHAUSTED,
    errors.TrackingAwayError(): Code.UNAVAILABLE,
    errors.ClusterAwayError(): Code.UNAVAILABLE,
}


def classes() -> set[type[object]]:
    return {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__}


def test_the_examples_cover_the_tree() -> None:
    assert {type(error) for error in EXAMPLES} == classes()


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert all(f" {each.__name__} " in f"{errors.__doc__} ".replace("\n", " ") for each in classes())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_has_its_status_and_survives_pickle(error: CallError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert status_of(error) is EXAMPLES[error]
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
    assert len(str(error)) > 5
