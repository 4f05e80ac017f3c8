import pickle

import pytest

from pipelines.errors import DrivetrainError
from services.rpc import errors

EXAMPLES = [
    errors.CallError("anything"),
    errors.InvalidRequestError("inputs[x].shape", "[-1, 3]", "[1, 2]"),
    errors.NotFoundError("anything"),
    errors.AlreadyExistsError("anything"),
    errors.PreconditionError("anything"),
    errors.ConflictError("anything"),
    errors.ExhaustedError("anything"),
    errors.MessageTooLargeError("Received", 5, 4),
    errors.DeadlineError("anything"),
    errors.NotReadyError("anything"),
    errors.StoppingError(),
    errors.AccessError("anything"),
    errors.UnauthenticatedError(),
    errors.AccessDeniedError("admin"),
    errors.FaultError("anything"),
    errors.SetupError("anything"),
    errors.InvalidSettingsError("port", "another port", "the same"),
    errors.PortTakenError("gRPC", "127.0.0.1:8001"),
]


def classes() -> set[type[object]]:
    return {each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__}


def test_the_examples_cover_the_tree() -> None:
    assert {type(error) for error in EXAMPLES} == classes()


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert all(f" {each.__name__} " in f"{errors.__doc__} ".replace("\n", " ") for each in classes())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_have_a_text_and_survive_pickle(error: DrivetrainError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(error, DrivetrainError)
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert len(str(error)) > 5
