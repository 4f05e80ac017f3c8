"""One metrics page out of those of several processes: every sample is the sum over all of them.

What a process counted stays in the sum when it ends, so no counter goes back; what it held (gauges) ends with it.
"""

from collections import Counter as Tally
from collections.abc import Hashable, Iterable
from threading import Lock

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and labels."""

CREATED = "_created"
"""The text format tells when a counter began as a gauge beside it: a time, of which there is no sum."""


class Totals(Collector):
    """The sum of what the processes have told; `told` and `ended` may be called in any thread."""

    def __init__(self) -> None:
        self._pages: dict[Hashable, list[Metric]] = {}
        self._past: dict[str, Metric] = {}
        self._guard = Lock()

    def told(self, process: Hashable, page: str) -> None:
        """Take a process's page, in Prometheus' text format, for what it told before.

        A process that does not answer counts with its last page. Raises ValueError if the text is no such page.
        """
        families = [each for each in text_string_to_metric_families(page) if not each.name.endswith(CREATED)]
        with self._guard:
            self._pages[process] = families

    def ended(self, process: Hashable) -> None:
        """Keep what this process counted; its successor begins at 0. One that never told anything leaves nothing."""
        with self._guard:
            counted = (each for each in self._pages.pop(process, []) if each.type != "gauge")
            self._past = _sum([*self._past.values(), *counted])

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: the families are known when they are collected."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The sums, in the order in which the families were first told."""
        with self._guard:
            told = [each for page in self._pages.values() for each in page]
            return list(_sum([*self._past.values(), *told]).values())


def _sum(families: Iterable[Metric]) -> dict[str, Metric]:
    """By name; the inputs stay as they are."""
    heads: dict[str, Metric] = {}
    sums: dict[str, Tally[Key]] = {}
    for family in families:
        heads.setdefault(family.name, family)
        tally = sums.setdefault(family.name, Tally())
        for sample in family.samples:
            tally[sample.name, tuple(sample.labels.items())] += sample.value  # type: ignore[assignment]  # whole or not
    return {name: _with_samples(head, sums[name]) for name, head in heads.items()}


def _with_samples(head: Metric, sums: Tally[Key]) -> Metric:
    family = Metric(head.name, head.documentation, head.type)
    for (name, labels), value in sums.items():
        family.add_sample(name, dict(labels), value)
    return family
