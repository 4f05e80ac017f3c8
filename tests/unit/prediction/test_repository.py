import pytest

from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.errors import ModelNotReadyError, UnknownModelError, UnknownVersionError
from services.prediction.metrics import Metrics
from services.prediction.model import LoadedModel
from services.prediction.repository import IndexRow, Repository, ServedVersion
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import manifest, package


def served(name: str, version: str) -> ServedVersion:
    model = LoadedModel(name, version, package(name), threads=1)
    counts = Metrics().of_version(name, version)
    batcher = Batcher(model, counts, Budget(2**20), max_batch_size=4, max_queue_requests=4)
    return ServedVersion(name, version, manifest(name), batcher, counts)


@pytest.fixture
def repository() -> Repository:
    known = Repository()
    known.swap(served("digits", "7"))
    return known


@pytest.mark.parametrize("version", ["", "7", "007"])
def test_the_champion_is_found_by_default_and_by_number(repository: Repository, version: str) -> None:
    assert repository.find("digits", version).version == "7"


@pytest.mark.parametrize("version", ["seven", "-7", "7.0", " 7", "٧", "9" * 5000, "champion"])
def test_a_version_must_be_an_integer(repository: Repository, version: str) -> None:
    with pytest.raises(InvalidRequestError):
        repository.find("digits", version)


def test_unknown_models_and_versions(repository: Repository) -> None:
    with pytest.raises(UnknownModelError):
        repository.find("other", "")
    with pytest.raises(UnknownVersionError) as error:
        repository.find("digits", "8")
    assert (error.value.version, error.value.served) == ("8", "7")


def test_a_refused_version_leaves_the_served_one(repository: Repository) -> None:
    repository.refuse("digits", "8", "golden rows")
    assert repository.find("digits", "").version == "7"
    with pytest.raises(ModelNotReadyError, match="golden rows"):
        repository.find("digits", "8")
    assert list(repository.index()) == [
        IndexRow("digits", "7", "READY", ""),
        IndexRow("digits", "8", "UNAVAILABLE", "golden rows"),
    ]
    repository.clear_refusal("digits")
    assert [row.version for row in repository.index()] == ["7"]


def test_a_model_that_never_loaded_is_known_but_not_ready() -> None:
    repository = Repository()
    repository.refuse("digits", "1", "no graph")
    with pytest.raises(ModelNotReadyError, match="no graph"):
        repository.find("digits", "")


def test_retired_and_forgotten(repository: Repository) -> None:
    held = repository.find("digits", "")
    repository.retire("digits", "no champion")
    with pytest.raises(ModelNotReadyError):
        repository.find("digits", "7")
    repository.forget("digits")
    with pytest.raises(UnknownModelError):
        repository.find("digits", "7")
    assert held.version == "7", "whoever holds a version may finish with it"


def test_when_an_entry_is_settled(repository: Repository) -> None:
    entry = repository.known()["digits"]
    assert entry.settled_on("7")
    assert not entry.settled_on("8")
    assert not entry.settled_on(None)
    repository.refuse("digits", "8", "wrong")
    assert not repository.known()["digits"].settled_on("7")
    repository.retire("digits", "no champion")
    assert repository.known()["digits"].settled_on(None)
