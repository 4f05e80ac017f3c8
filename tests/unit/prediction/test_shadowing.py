import pytest

from pipelines.registry.traffic import TrafficRule
from services.prediction.batcher import unseen
from services.prediction.entry import ServedVersion
from services.prediction.metrics import Metrics
from services.prediction.repository import Repository
from services.prediction.shadow import Shadow
from services.prediction.shadowing import Shadowing
from tests.unit.prediction.graphs import FEATURES, manifest
from tests.unit.prediction.planes import served

BOTH = {"champion": "1", "challenger": "2"}
ALL = TrafficRule(shadow_share=1.0)


@pytest.fixture
def repository() -> Repository:
    repository = Repository()
    repository.changed = Shadowing(Metrics().shadow, 8).direct
    return repository


def shadow_of(repository: Repository, version: str) -> str:
    """Number and share of who shadows the version; empty if nobody does."""
    found = repository.find("digits", version).batcher.shadow
    if found is unseen:
        return ""
    assert isinstance(found, Shadow)
    return f"{found.challenger.version} {found.share:g}"


def test_the_shadow_follows_rule_and_aliases(repository: Repository) -> None:
    repository.follow("digits", BOTH, ALL)
    repository.swap(served("digits", "1"))
    assert shadow_of(repository, "1") == ""
    repository.swap(served("digits", "2"))
    assert shadow_of(repository, "1") == "2 1"
    repository.follow("digits", BOTH, TrafficRule(shadow_share=0.5))
    assert shadow_of(repository, "1") == "2 0.5"
    repository.follow("digits", BOTH, TrafficRule(canary_share=0.5))
    assert shadow_of(repository, "1") == ""


def test_the_shadow_moves_with_the_champion(repository: Repository) -> None:
    repository.follow("digits", BOTH, ALL)
    for version in ("1", "2"):
        repository.swap(served("digits", version))
    first = repository.find("digits", "1")
    repository.follow("digits", {"champion": "2", "challenger": "1"}, ALL)
    assert (shadow_of(repository, "1"), shadow_of(repository, "2")) == ("", "1 1")
    repository.follow("digits", {"champion": "2", "challenger": "2"}, ALL)
    assert (first.batcher.shadow, shadow_of(repository, "2")) == (unseen, "")


def test_an_unloaded_challenger_and_a_forgotten_model_have_no_shadow(repository: Repository) -> None:
    repository.follow("digits", BOTH, ALL)
    for version in ("1", "2"):
        repository.swap(served("digits", version))
    champion = repository.find("digits", "")
    repository.evict("digits", "2")
    assert champion.batcher.shadow is unseen
    repository.swap(served("digits", "2"))
    assert champion.batcher.shadow is not unseen
    repository.forget("digits")
    assert champion.batcher.shadow is unseen


def test_a_change_elsewhere_keeps_the_shadow(repository: Repository) -> None:
    repository.follow("digits", BOTH, ALL)
    for version in ("1", "2"):
        repository.swap(served("digits", version))
    before = repository.find("digits", "").batcher.shadow
    repository.swap(served("digits", "3"))
    assert repository.find("digits", "").batcher.shadow is before


def test_a_challenger_of_other_inputs_is_no_shadow(repository: Repository, caplog: pytest.LogCaptureFixture) -> None:
    other = manifest("digits").model_copy(update={"inputs": (FEATURES.model_copy(update={"name": "x"}),)})
    repository.follow("digits", BOTH, ALL)
    repository.swap(served("digits", "1"))
    challenger: ServedVersion = served("digits", "2", other)
    repository.swap(challenger)
    assert shadow_of(repository, "1") == ""
    assert "version 2 takes other inputs, and is no shadow" in caplog.text
