"""Which version shadows which, as aliases and traffic rules change. Called in the event loop."""

import logging
from dataclasses import dataclass

from pipelines.registry.traffic import CHALLENGER
from services.prediction.batcher import unseen
from services.prediction.entry import Entry, ServedVersion
from services.prediction.shadow import Shadow
from services.prediction.shadow_metrics import Pair, ShadowCounts, ShadowMetrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What the challenger's run is to be told of a pair."""

    pair: Pair
    run_id: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Direction:
    """Who is shadowed by whom."""

    champion: ServedVersion
    challenger: ServedVersion
    share: float

    @property
    def pair(self) -> Pair:
        """The names of both."""
        return Pair(self.champion.name, self.champion.version, self.challenger.version)

    @property
    def fits(self) -> bool:
        """Whether the challenger takes the champion's inputs as they are."""
        return self.champion.manifest.inputs == self.challenger.manifest.inputs


class Shadowing:
    """All shadows of one server."""

    def __init__(self, metrics: ShadowMetrics, max_pending: int) -> None:
        self._metrics, self._max_pending = metrics, max_pending
        self._directions: dict[str, Direction] = {}
        self._counts: dict[Pair, ShadowCounts] = {}

    def direct(self, name: str, entry: Entry) -> None:
        """The model's entry is this now: begin, change or end its shadow."""
        before, after = self._directions.get(name), direction_of(entry)
        if before == after:
            return
        if before is not None:
            before.champion.batcher.shadow = unseen
            del self._directions[name]
        if after is not None:
            self._directions[name] = after
            self._begin(after)

    def reports(self) -> list[Report]:
        """What has come of the present pairs so far; those without a request are left out."""
        reports = [
            Report(each.pair, each.challenger.manifest.run_id, self._counts[each.pair].figures())
            for each in self._directions.values()
            if each.pair in self._counts
        ]
        return [report for report in reports if report.figures and report.run_id]

    def _begin(self, direction: Direction) -> None:
        pair, challenger = direction.pair, direction.challenger
        if not direction.fits:
            logger.warning("model %s: version %s takes other inputs, and is no shadow", pair.model, pair.challenger)
            return
        if pair not in self._counts:
            self._counts[pair] = ShadowCounts(self._metrics, pair)
        shadow = Shadow(challenger, direction.share, self._counts[pair], self._max_pending)
        direction.champion.batcher.shadow = shadow


def direction_of(entry: Entry) -> Direction | None:
    """Who is to be shadowed by whom: both have to be served, and be two."""
    champion, challenger = entry.served(entry.champion), entry.served(entry.answering.get(CHALLENGER))
    share = entry.rule.shadow_share
    if not share or champion is None or challenger is None or champion is challenger:
        return None
    return Direction(champion, challenger, share)
