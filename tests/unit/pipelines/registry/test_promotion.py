"""Every branch of the promotion decision."""

import math

import pytest

from pipelines.registry.promotion import Champion, PromotionRule, Score, decide


def champion(value: float | None, metric: str = "accuracy") -> Champion:
    return Champion("4", None if value is None else Score(metric, value))


NOT_COMPARABLE = "version 4 has no validation accuracy to compare with; promote by hand"


@pytest.mark.parametrize(
    ("rule", "value", "now", "promote", "reason"),
    [
        ("never", 1.0, None, False, "registry.promote is never"),
        ("never", 1.0, champion(0.1), False, "registry.promote is never"),
        ("always", 0.1, None, True, "registry.promote is always"),
        ("always", 0.1, champion(0.9), True, "registry.promote is always"),
        ("better", 0.1, None, True, "first champion of this model"),
        (
            "better",
            0.9,
            champion(0.8),
            True,
            "validation accuracy 0.9000 is at least as good as 0.8000 of version 4",
        ),
        (
            "better",
            0.8,
            champion(0.8),
            True,
            "validation accuracy 0.8000 is at least as good as 0.8000 of version 4",
        ),
        ("better", 0.7, champion(0.8), False, "validation accuracy 0.7000 is below 0.8000 of version 4"),
        ("better", math.nan, champion(0.8), False, "validation accuracy nan is below 0.8000 of version 4"),
        ("better", 0.9, champion(None), False, NOT_COMPARABLE),
        ("better", 0.9, champion(0.1, "r2"), False, NOT_COMPARABLE),
    ],
)
def test_who_becomes_champion(
    rule: PromotionRule, value: float, now: Champion | None, promote: bool, reason: str
) -> None:
    decision = decide(rule, Score("accuracy", value), now)
    assert (decision.promote, decision.reason) == (promote, reason)
