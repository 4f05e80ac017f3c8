"""What became of shadow requests: as Prometheus metrics, and as sums for the challenger's run."""

import threading
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Upper bounds of every latency histogram."""


@dataclass(frozen=True)
class Pair:
    """Two versions of a model: one answers, one runs the same rows unseen."""

    model: str
    champion: str
    challenger: str


class ShadowMetrics:
    """The metrics of all pairs of one server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"drivetrain_shadow_{name}", text, ["model", "champion", "challenger"], registry=registry)

        self.requests = counter("requests", "Requests of the champion that the challenger ran too")
        self.disagreements = counter("disagreements", "Those that it answered otherwise, or not at all")
        self.dropped = counter("dropped", "Requests that it was to run, but was too busy for")
        self.duration = Histogram(
            "drivetrain_shadow_duration_seconds",
            "Seconds from the champion's answer until the challenger had run",
            ["model", "champion", "challenger"],
            buckets=BUCKETS_S,
            registry=registry,
        )


class ShadowCounts:
    """The counts of one pair; called in any thread. A request that ran in parts counts once a part."""

    def __init__(self, metrics: ShadowMetrics, pair: Pair) -> None:
        labels = (pair.model, pair.champion, pair.challenger)
        self._requests, self._disagreements = metrics.requests.labels(*labels), metrics.disagreements.labels(*labels)
        self._dropped, self._duration = metrics.dropped.labels(*labels), metrics.duration.labels(*labels)
        self._guard = threading.Lock()
        self._num_requests = self._num_disagreements = 0
        self._total_s = 0.0

    def compared(self, took_s: float, *, disagrees: bool) -> None:
        """The challenger has run a request."""
        self._requests.inc()
        self._disagreements.inc(disagrees)
        self._duration.observe(took_s)
        with self._guard:
            self._num_requests += 1
            self._num_disagreements += disagrees
            self._total_s += took_s

    def dropped(self, number: int) -> None:
        """It was too busy for so many."""
        self._dropped.inc(number)

    def figures(self) -> dict[str, float]:
        """What the challenger's run is told, since this server began; empty before the first request."""
        with self._guard:
            number, disagreements, total_s = self._num_requests, self._num_disagreements, self._total_s
        if not number:
            return {}
        return {
            "shadow/requests": number,
            "shadow/disagreement_rate": disagreements / number,
            "shadow/latency_ms": total_s / number * 1e3,
        }
