import pickle

import pytest

from services.prediction.client import errors

EXAMPLES = [
    errors.ClientError("anything"),
    errors.SettingsError("address", "HOST:PORT", "'here'"),
    errors.RequestError("anything"),
    errors.InvalidDataError("inputs[x].shape", "[-1, 3]", "[1, 2]"),
    errors.RefusedError("inputs: expected something"),
    errors.UnknownModelError("m", "7", "version 7 of model 'm' is not served"),
    errors.MissingOutputError("probabilities", ("class_index",)),
    errors.UnavailableError("localhost:8001", "the server is stopping", 3),
    errors.UnreachableError("localhost:8001", "connection refused"),
    errors.DeadlineError(0.5, "Deadline Exceeded"),
    errors.ExhaustedError("the queue is full"),
    errors.AccessError("anything"),
    errors.UnauthenticatedError("expected a token"),
    errors.PermissionDeniedError("this call needs the right 'admin'"),
    errors.ClosedError(),
    errors.UnsupportedError("Method not found!"),
    errors.ServerFaultError("internal error"),
    errors.MalformedAnswerError("x: expected 4 bytes"),
]


def classes() -> set[type[object]]:
    """Those that can be raised; names that begin with _ only share code."""
    found = (each for each in vars(errors).values() if isinstance(each, type) and each.__module__ == errors.__name__)
    return {each for each in found if not each.__name__.startswith("_")}


def test_the_examples_cover_the_tree() -> None:
    assert {type(error) for error in EXAMPLES} == classes()


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert all(f" {each.__name__} " in f"{errors.__doc__} ".replace("\n", " ") for each in classes())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_have_a_text_and_survive_pickle(error: errors.ClientError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert len(str(error)) > 5


def test_attempts_are_told_when_there_were_several() -> None:
    told = "the prediction service at localhost:8001 could not answer: the server is stopping"
    assert str(errors.UnavailableError("localhost:8001", "the server is stopping")) == told
    assert str(errors.UnavailableError("localhost:8001", "the server is stopping", 3)) == f"{told} (3 attempts)"
