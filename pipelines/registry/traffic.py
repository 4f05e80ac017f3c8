"""Traffic rules: which share of a model's requests its challenger answers, and which it runs beside the champion.

A rule is kept as tags of the registered model, so it reaches every server with the look that reads the aliases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHALLENGER = "challenger"

CANARY_TAG = "drivetrain.canary_share"
SHADOW_TAG = "drivetrain.shadow_share"


@dataclass(frozen=True)
class TrafficRule:
    """Shares between 0 and 1; nothing goes to the challenger by itself where both are 0."""

    canary_share: float = 0.0
    """Of the requests that name no version: the challenger answers them."""
    shadow_share: float = 0.0
    """Of the requests that the champion answers: the challenger runs them too, and nobody waits for it."""
    problem: str = ""
    """What is wrong with the tags, if they are not a rule: then there is none."""


NO_RULE = TrafficRule()


@dataclass(frozen=True)
class Registered:
    """What one look at the registry says of a model."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    """The version that each alias names."""
    rule: TrafficRule = NO_RULE


def rule_of(tags: Mapping[str, str]) -> TrafficRule:
    """The rule that the tags of a registered model spell; never half of one."""
    try:
        return TrafficRule(_share(tags, CANARY_TAG), _share(tags, SHADOW_TAG))
    except ValueError as error:
        return TrafficRule(problem=str(error))


def _share(tags: Mapping[str, str], tag: str) -> float:
    text = tags.get(tag, "0")
    wrong = f"tag {tag}: expected a number from 0 to 1, came {text[:64]!r}"
    try:
        share = float(text)
    except ValueError:
        raise ValueError(wrong) from None
    if not 0 <= share <= 1:  # nor NaN
        raise ValueError(wrong)
    return share
