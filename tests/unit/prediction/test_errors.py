import pickle

import pytest

from pipelines.errors import DrivetrainError
from services.prediction import errors
from services.prediction.errors import PredictionError

EXAMPLES = [
    PredictionError("anything"),
    errors.InvalidRequestError("inputs[x].shape", "[-1, 3]", "[1, 2]"),
    errors.NotFoundError("anything"),
    errors.UnknownModelError("digits"),
    errors.UnknownVersionError("digits", "7", "1"),
    errors.NotReadyError("anything"),
    errors.ModelNotReadyError("digits", "no champion"),
    errors.RegistryAwayError(),
    errors.StoppingError(),
    errors.QueueFullError("digits", 8),
    errors.DeadlineExpiredError("digits"),
    errors.LoadFailedError("digits", "2", "golden rows differ"),
    errors.AccessError("anything"),
    errors.UnauthenticatedError(),
    errors.AccessDeniedError("admin"),
    errors.InferenceFailedError("digits", "1", "bad index"),
    errors.SetupError("anything"),
    errors.InvalidSettingsError("port", "another port", "the same"),
    errors.PortTakenError("gRPC", "127.0.0.1:8001"),
]


def classes(root: type[PredictionError] = PredictionError) -> set[type[PredictionError]]:
    return {root}.union(*(classes(each) for each in root.__subclasses__()))


def test_the_examples_cover_the_tree() -> None:
    assert {type(error) for error in EXAMPLES} == classes()


def test_the_tree_at_the_top_of_the_module_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert all(f" {each.__name__} " in f"{errors.__doc__} ".replace("\n", " ") for each in classes())


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_have_a_text_and_survive_pickle(error: PredictionError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(error, DrivetrainError)
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
    assert len(str(error)) > 5
