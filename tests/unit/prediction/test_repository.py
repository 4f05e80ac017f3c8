import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from pipelines.registry.promotion import Promotion
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.desired import Orders
from services.prediction.entry import LEAVING, NO_CHAMPION, ServedVersion
from services.prediction.errors import ModelNotReadyError, UnknownAliasError, UnknownModelError, UnknownVersionError
from services.prediction.metrics import Metrics
from services.prediction.model import LoadedModel
from services.prediction.repository import IndexRow, Repository
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import GOLDEN_ROWS, SLOW, manifest, package


def served(name: str, version: str) -> ServedVersion:
    model = LoadedModel(name, version, package(name), threads=1)
    counts = Metrics().of_version(name, version)
    batcher = Batcher(model, counts, Budget(2**20), max_batch_size=4, max_queue_requests=4)
    return ServedVersion(name, version, manifest(name), batcher, counts)


@pytest.fixture
def repository() -> Repository:
    known = Repository()
    known.follow("digits", {"champion": "7"})
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
    repository.follow("digits", {"champion": "8"})
    repository.refuse("digits", "8", "golden rows")
    assert repository.find("digits", "").version == "7"
    with pytest.raises(ModelNotReadyError, match="golden rows"):
        repository.find("digits", "8")
    assert list(repository.index()) == [
        IndexRow("digits", "7", "READY", "champion until version 8 is loaded"),
        IndexRow("digits", "8", "UNAVAILABLE", "golden rows"),
    ]
    repository.begin("digits", "8")
    assert list(repository.index())[1] == IndexRow("digits", "8", "LOADING", "golden rows")
    repository.follow("digits", {"champion": "7"})
    assert list(repository.index()) == [IndexRow("digits", "7", "READY", "champion")]


def test_a_model_that_never_loaded_is_known_but_not_ready() -> None:
    repository = Repository()
    repository.follow("digits", {"champion": "1"})
    with pytest.raises(ModelNotReadyError, match="it is being loaded"):
        repository.find("digits", "")
    repository.refuse("digits", "1", "no graph")
    with pytest.raises(ModelNotReadyError, match="no graph"):
        repository.find("digits", "")
    assert not repository.is_ready("digits", "")


def test_retired_and_forgotten(repository: Repository) -> None:
    held = repository.find("digits", "")
    repository.follow("digits", {})
    with pytest.raises(ModelNotReadyError, match=NO_CHAMPION):
        repository.find("digits", "")
    with pytest.raises(UnknownVersionError, match="the champion is none"):
        repository.find("digits", "7")
    assert list(repository.index()) == [IndexRow("digits", "", "UNAVAILABLE", NO_CHAMPION)]
    repository.forget("digits")
    with pytest.raises(UnknownModelError):
        repository.find("digits", "7")
    assert held.version == "7", "whoever holds a version may finish with it"


@pytest.fixture
def challenged(repository: Repository) -> Repository:
    repository.follow("digits", {"champion": "7", "challenger": "8", "candidate": "8", "next": "9"})
    repository.swap(served("digits", "8"))
    repository.refuse("digits", "9", "no graph")
    return repository


def test_versions_are_addressed_by_alias(challenged: Repository) -> None:
    assert challenged.find("digits@challenger", "").version == "8"
    assert challenged.find("digits", "", "candidate").version == "8"
    assert challenged.find("digits@champion", "").version == "7"
    assert challenged.find("digits", "8").version == "8"
    with pytest.raises(ModelNotReadyError, match="no graph"):
        challenged.find("digits@next", "")
    with pytest.raises(UnknownAliasError) as error:
        challenged.find("digits@best", "")
    assert str(error.value) == (
        "no version of model 'digits' has the alias 'best': there are candidate, challenger, champion, next"
    )
    with pytest.raises(UnknownModelError, match="'wine'"):
        challenged.find("wine@challenger", "")


def test_a_name_with_an_at_sign_is_a_name_first(challenged: Repository) -> None:
    challenged.follow("digits@challenger", {"champion": "1"})
    challenged.swap(served("digits@challenger", "1"))
    assert challenged.find("digits@challenger", "").version == "1"
    assert challenged.find("digits@challenger@champion", "").version == "1"
    for name in ("@", "@champion", "digits@", "other"):
        with pytest.raises(UnknownModelError):
            challenged.find(name, "")


@pytest.mark.parametrize(
    ("name", "version", "alias"),
    [
        ("digits@challenger", "8", ""),
        ("digits", "8", "challenger"),
        ("digits@challenger", "", "challenger"),
        ("digits@challenger", "", "champion"),
    ],
)
def test_there_is_one_way_to_name_a_version_at_a_time(
    challenged: Repository, name: str, version: str, alias: str
) -> None:
    with pytest.raises(InvalidRequestError):
        challenged.find(name, version, alias)


def test_the_index_says_what_a_version_is_served_for(challenged: Repository) -> None:
    challenged.note("digits", Promotion("7", "ann", "2026-11-25T00:30Z"))
    assert [row.reason for row in challenged.index()] == [
        "champion, promoted 2026-11-25T00:30Z by ann",
        "candidate, challenger",
        "no graph",
    ]
    challenged.follow("digits", {"champion": "8", "challenger": "8"})
    assert [row.reason for row in challenged.index()] == ["champion, challenger"], "another version was promoted then"
    challenged.note("digits", Promotion("8"))
    assert [row.reason for row in challenged.index()] == ["champion, challenger"], "who and when was not recorded"


def test_an_evicted_version_is_asked_for_and_keeps_its_alias(challenged: Repository) -> None:
    asked: list[tuple[str, str]] = []
    challenged.asked = lambda *version: asked.append(version)
    challenged.evict("digits", "8")
    assert not challenged.is_ready("digits@challenger", "")
    assert asked == []
    for _ in range(2):
        with pytest.raises(ModelNotReadyError, match="is being loaded"):
            challenged.find("digits@challenger", "")
    assert asked == [("digits", "8")] * 2
    assert challenged.wake("digits", "8")
    assert not challenged.wake("digits", "8"), "one of those who ask is enough"
    challenged.swap(served("digits", "8"))
    assert challenged.find("digits@challenger", "").version == "8"


async def test_an_answer_is_a_use(challenged: Repository) -> None:
    before = {each.version: each.used_s for each in challenged.residents()}
    await challenged.find("digits@challenger", "").batcher.infer({"features": GOLDEN_ROWS}, 3)
    after = {each.version: each.used_s for each in challenged.residents()}
    assert after["8"] > before["8"]
    assert after["7"] == before["7"]
    assert [each.is_champion for each in challenged.residents()] == [True, False]


def test_each_change_shows_in_the_generation(challenged: Repository) -> None:
    generations = [challenged.generation]
    changes: tuple[Callable[[], None], ...] = (
        lambda: challenged.follow("digits", {"champion": "8"}),
        lambda: challenged.order("digits", Orders().unload("8")),
        lambda: challenged.swap(served("digits", "8")),
        lambda: challenged.refuse("digits", "8", "no graph"),
        lambda: challenged.evict("digits", "8"),
        lambda: challenged.forget("digits"),
    )
    for change in changes:
        change()
        generations.append(challenged.generation)
    assert len(set(generations)) == len(generations)


def test_what_was_loaded_last_was_used_last(challenged: Repository) -> None:
    challenged.follow("digits", {"champion": "7", "challenger": "8", "next": "9"})
    challenged.swap(served("digits", "9"))
    assert max(challenged.residents(), key=lambda each: each.used_s).version == "9"


def test_an_unloaded_version_leaves_the_others(challenged: Repository) -> None:
    challenged.order("digits", Orders().unload("7"))
    with pytest.raises(ModelNotReadyError, match="unloaded"):
        challenged.find("digits", "")
    assert challenged.find("digits@challenger", "").version == "8"
    assert next(challenged.index()) == IndexRow("digits", "7", "UNAVAILABLE", "unloaded")


async def test_a_version_is_unloading_while_requests_run(challenged: Repository) -> None:
    held = challenged.find("digits@challenger", "")
    running = asyncio.create_task(held.batcher.infer({"features": np.array([[SLOW, 0, 0]], np.float32)}, 1))
    await asyncio.sleep(0)
    challenged.order("digits", Orders().unload("8"))
    assert list(challenged.index())[1] == IndexRow("digits", "8", "UNLOADING", LEAVING)
    challenged.follow("digits", {"champion": "7"})
    challenged.order("digits", Orders())
    assert [row.state for row in challenged.index()] == ["READY", "UNLOADING"]
    challenged.follow("digits", {"champion": "7", "challenger": "8"})
    challenged.swap(served("digits", "8"))
    assert [row.state for row in challenged.index()] == ["READY", "READY"]
    challenged.follow("digits", {"champion": "7"})
    await running
    async with asyncio.timeout(10):
        while not held.batcher.idle:  # noqa: ASYNC110 - the batcher has no event to wait for
            await asyncio.sleep(0.001)
    assert [row.version for row in challenged.index()] == ["7"]


def test_an_unloaded_model_without_versions_says_so() -> None:
    repository = Repository()
    repository.follow("digits", {})
    repository.order("digits", Orders().unload(""))
    assert list(repository.index()) == [IndexRow("digits", "", "UNAVAILABLE", "unloaded")]
