import pytest

from pipelines.registry.traffic import CANARY_TAG, NO_RULE, SHADOW_TAG, TrafficRule, rule_of


def test_tags_spell_a_rule() -> None:
    assert rule_of({}) == NO_RULE
    assert rule_of({CANARY_TAG: "0.1", "owner": "ann"}) == TrafficRule(canary_share=0.1)
    assert rule_of({CANARY_TAG: "0", SHADOW_TAG: "1"}) == TrafficRule(shadow_share=1.0)


@pytest.mark.parametrize("text", ["10%", "", "nan", "inf", "-0.1", "1.1", "ten"])
@pytest.mark.parametrize("tag", [CANARY_TAG, SHADOW_TAG])
def test_a_wrong_tag_makes_no_rule_at_all(tag: str, text: str) -> None:
    tags = {CANARY_TAG: "0.5", SHADOW_TAG: "0.5"} | {tag: text}
    problem = f"tag {tag}: expected a number from 0 to 1, came {text!r}"
    assert rule_of(tags) == TrafficRule(0, 0, problem)
