import pytest

from services.prediction.traffic import is_canary, place_of

KEYS = [f"user-{number}" for number in range(2000)]


def canaries(share: float, model: str = "digits") -> set[str]:
    return {key for key in KEYS if is_canary(share, place_of(model, key))}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_keys_are_shared_out_as_the_rule_says(share: float) -> None:
    assert len(canaries(share)) / len(KEYS) == pytest.approx(share, abs=0.04)  # four standard deviations


def test_a_key_stays_where_it_is_and_a_growing_share_only_adds_keys() -> None:
    assert canaries(0.1) == canaries(0.1)
    assert canaries(0.1) < canaries(0.2) < canaries(0.9) < canaries(1.0) == set(KEYS)


def test_a_place_is_the_same_on_every_server() -> None:
    assert place_of("digits", "user-1") == 0.5069967026436625


def test_models_share_out_their_keys_apart() -> None:
    common = canaries(0.5) & canaries(0.5, "wine")
    assert len(common) / len(KEYS) == pytest.approx(0.25, abs=0.04)


def test_without_a_key_each_request_is_drawn() -> None:
    places = {place_of("digits", "") for _ in range(100)}
    assert len(places) == 100
    assert all(0 <= place < 1 for place in places)
