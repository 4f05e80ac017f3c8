"""Whether a new version becomes champion: a pure decision, carried out by the registry."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PromotionRule = Literal["better", "always", "never"]


@dataclass(frozen=True)
class Score:
    """A validation metric of which more is better."""

    metric: str
    value: float


@dataclass(frozen=True)
class Champion:
    """The version that the alias points to now; `score` is None where none was recorded."""

    version: str
    score: Score | None


@dataclass(frozen=True)
class Promotion:
    """Who made a version champion, and when (UTC, `2026-11-25T00:30Z`); empty where it was not recorded."""

    version: str
    by: str = ""
    at: str = ""


@dataclass(frozen=True)
class Decision:
    """Whether to move the alias, and why."""

    promote: bool
    reason: str


@dataclass(frozen=True)
class Version:
    """One registered version as a table shows it."""

    model: str
    version: str
    run_id: str | None
    created: datetime
    is_champion: bool
    score: Score | None
    promoted: bool
    """Whether it was made champion, whatever became of that since."""
    reason: str
    variant: str
    """Form of its graph, as its manifest says."""


def decide(rule: PromotionRule, candidate: Score, champion: Champion | None) -> Decision:
    """Apply `registry.promote`; with `better`, a candidate that is at least as good as the champion wins."""
    if rule == "never":
        return Decision(False, "registry.promote is never")
    if rule == "always":
        return Decision(True, "registry.promote is always")
    if champion is None:
        return Decision(True, "first champion of this model")
    if champion.score is None or champion.score.metric != candidate.metric:
        return Decision(
            False, f"version {champion.version} has no validation {candidate.metric} to compare with; promote by hand"
        )
    if candidate.value >= champion.score.value:
        relation, promote = "at least as good as", True
    else:
        relation, promote = "below", False
    reason = (
        f"validation {candidate.metric} {candidate.value:.4f} is {relation} "
        f"{champion.score.value:.4f} of version {champion.version}"
    )
    return Decision(promote, reason)
