"""Prometheus metrics: Triton's names and labels, so that its dashboards work, and our own in seconds.

prometheus_client ends every counter in `_total`, which Triton does not; these are exposed as `unknown`, which both
text formats allow under any name and on which `rate()` works alike. `model` and `version` are only ever those of loaded
versions: a caller cannot grow the label space.
"""

import asyncio
import time
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from services.prediction.calls import Call
from services.prediction.errors import DeadlineExpiredError, InferenceFailedError
from services.prediction.shadow_metrics import BUCKETS_S, ShadowMetrics
from services.prediction.statistics import BatchSize, Duration, Statistics
from services.rpc.errors import ExhaustedError, entry_of

FailureReason = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]

REASONS: dict[type[BaseException], FailureReason] = {
    ExhaustedError: "REJECTED",
    DeadlineExpiredError: "CANCELED",
    asyncio.CancelledError: "CANCELED",
    InferenceFailedError: "BACKEND",
    BaseException: "OTHER",
}
"""Triton's reason for each error, by the nearest class in its MRO."""

COUNTS: dict[str, tuple[str, Callable[["VersionMetrics"], float]]] = {
    "request_success": ("Requests answered", lambda each: each.num_requests),
    "count": ("Rows answered", lambda each: each.num_rows),
    "exec_count": ("Batches run", lambda each: each.num_batches),
    "request_duration_us": ("Microseconds that answered requests took", lambda each: each.request_s * 1e6),
    "queue_duration_us": ("Microseconds that requests waited", lambda each: each.queue_s * 1e6),
    "compute_input_duration_us": ("Microseconds in which their inputs were joined", lambda each: each.input_s * 1e6),
    "compute_infer_duration_us": ("Microseconds that requests were in their run", lambda each: each.infer_s * 1e6),
    "compute_output_duration_us": ("Microseconds in which they were answered", lambda each: each.output_s * 1e6),
}
"""Triton's counters that have no label but model and version, by what follows `nv_inference_`: text and value."""

NUM_BUCKETS = len(BUCKETS_S) + 1
HISTOGRAMS: dict[str, tuple[str, Callable[["VersionMetrics"], tuple[list[int], float]]]] = {
    "request": (
        "Seconds from a request's arrival in the queue until the model had run",
        lambda each: (each.request_histogram, each.request_s),
    ),
    "queue": ("Seconds that a request waited", lambda each: (each.queue_histogram, each.queue_s)),
    "compute": (
        "Seconds in which its inputs were joined and the model ran",
        lambda each: (each.compute_histogram, each.input_s + each.infer_s),
    ),
}
"""Our own histograms by what their requests spent: text, count a bucket, and sum."""


class BatchTimes(NamedTuple):
    """When a batch was taken from the queue, its inputs were joined, and the model had run; of `time.monotonic()`."""

    taken_s: float
    joined_s: float
    ran_s: float


class VersionMetrics:
    """The counts of one loaded version.

    The two `observe` are called by whoever works the version's queue, one at a time; `failed` in any thread.
    """

    def __init__(self, model: str, version: str) -> None:
        self.model, self.version = model, version
        self.num_requests: int = 0
        self.num_rows: int = 0
        self.num_batches: int = 0
        self.request_s: float = 0.0
        self.queue_s: float = 0.0
        self.input_s: float = 0.0
        self.infer_s: float = 0.0
        self.output_s: float = 0.0
        self.last_s: float = 0.0  # when the last run ended, of `time.monotonic()`
        self.request_histogram: list[int] = [0] * NUM_BUCKETS
        self.queue_histogram: list[int] = [0] * NUM_BUCKETS
        self.compute_histogram: list[int] = [0] * NUM_BUCKETS
        self.failures: Tally[FailureReason] = Tally()
        self.pending = 0
        self._last_run_s = self._failed_s = 0.0
        self._runs: dict[int, _Runs] = {}
        self._last = 0, _Runs()
        self._guard = Lock()

    def observe_batch(self, calls: Sequence[Call], times: BatchTimes) -> None:
        """Counts one run and the requests that it answered, each with the whole run's durations, as Triton does."""
        num_rows = num_requests = 0
        arrivals: dict[float, int] = {}  # many come in the same moment
        for call in calls:
            num_rows += call.num_rows
            if call.counts:
                arrivals[call.queued_s] = arrivals.get(call.queued_s, 0) + 1
        queue_s, run_s = 0.0, times.ran_s - times.taken_s
        for queued_s, number in arrivals.items():
            num_requests += number
            waited_s = times.taken_s - queued_s
            queue_s += waited_s * number
            self.queue_histogram[bisect_left(BUCKETS_S, waited_s)] += number
            self.request_histogram[bisect_left(BUCKETS_S, waited_s + run_s)] += number
        self.compute_histogram[bisect_left(BUCKETS_S, run_s)] += num_requests
        self.queue_s += queue_s
        self.request_s += queue_s + run_s * num_requests
        input_s, infer_s = times.joined_s - times.taken_s, times.ran_s - times.joined_s
        self.num_batches += 1
        self.num_requests += num_requests
        self.num_rows += num_rows
        self.input_s += input_s * num_requests
        self.infer_s += infer_s * num_requests
        self.last_s = times.ran_s
        self._last_run_s = time.time()
        runs = self._runs.setdefault(num_rows, _Runs())
        runs.add(input_s, infer_s)
        self._last = num_requests, runs

    def observe_answers(self, took_s: float) -> None:
        """Counts the time in which the answers of the run that was observed last were written."""
        num_requests, runs = self._last
        self.output_s += took_s * num_requests
        self.request_s += took_s * num_requests
        runs.output_s += took_s

    def failed(self, error: BaseException, took_s: float = 0.0) -> None:
        """Counts a request that was not answered, by Triton's reason."""
        reason = entry_of(REASONS, error)
        with self._guard:
            self.failures[reason] += 1
            self._failed_s += took_s

    def snapshot(self) -> Statistics:
        """The same counts as values."""
        answered = self.num_requests
        return Statistics(
            last_inference_ms=round(self._last_run_s * 1e3),
            inference_count=self.num_rows,
            execution_count=self.num_batches,
            success=_duration(answered, self.request_s),
            fail=_duration(self.failures.total(), self._failed_s),
            queue=_duration(answered, self.queue_s),
            compute_input=_duration(answered, self.input_s),
            compute_infer=_duration(answered, self.infer_s),
            compute_output=_duration(answered, self.output_s),
            batches=tuple(runs.of_size(size) for size, runs in sorted(self._runs.copy().items())),
        )


@dataclass
class _Runs:
    """The runs of one size."""

    number: int = 0
    input_s: float = 0.0
    infer_s: float = 0.0
    output_s: float = 0.0

    def add(self, input_s: float, infer_s: float) -> None:
        self.number += 1
        self.input_s += input_s
        self.infer_s += infer_s

    def of_size(self, size: int) -> BatchSize:
        number = self.number
        times = (self.input_s, self.infer_s, self.output_s)
        return BatchSize(size, *(_duration(number, total_s) for total_s in times))


def _duration(count: int, total_s: float) -> Duration:
    return Duration(count, round(total_s * 1e9))


class Metrics(Collector):
    """All metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._versions: dict[tuple[str, str], VersionMetrics] = {}
        self.loads = Counter("drivetrain_model_loads", "Versions put in service", ["model"], registry=self.registry)
        self.load_failures = Counter(
            "drivetrain_model_load_failures", "Attempts to load that were refused", ["model"], registry=self.registry
        )
        self.cache_hits = Counter(
            "drivetrain_model_cache_hits", "Versions taken out of the cache", registry=self.registry
        )
        self.cache_misses = Counter(
            "drivetrain_model_cache_misses", "Versions that the cache did not hold whole", registry=self.registry
        )
        self.shadow = ShadowMetrics(self.registry)
        self.registry.register(self)

    def of_version(self, model: str, version: str) -> VersionMetrics:
        """The counts of this version; a version that returns goes on where it left off."""
        key = (model, version)
        if key not in self._versions:
            self._versions[key] = VersionMetrics(model, version)
        return self._versions[key]

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: the families are known when they are collected."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Triton's families; called by the thread that serves the metrics."""
        versions = list(self._versions.values())
        for name, (text, value) in COUNTS.items():
            family = Metric(f"nv_inference_{name}", text, "unknown")
            for each in versions:
                family.add_sample(family.name, _labels(each), round(value(each)))
            yield family
        failures = Metric("nv_inference_request_failure", "Requests failed, by reason", "unknown")
        pending = Metric("nv_inference_pending_request_count", "Requests waiting now", "gauge")
        for each in versions:
            for reason in get_args(FailureReason):  # each from 0 on: a rate misses what begins at 1
                failures.add_sample(failures.name, {**_labels(each), "reason": reason}, each.failures[reason])
            pending.add_sample(pending.name, _labels(each), each.pending)
        yield failures
        yield pending
        yield from _durations(versions)


def _durations(versions: Iterable[VersionMetrics]) -> Iterator[Metric]:
    bounds = [*(str(float(bound)) for bound in BUCKETS_S), "+Inf"]
    for name, (text, histogram) in HISTOGRAMS.items():
        family = HistogramMetricFamily(f"drivetrain_{name}_duration_seconds", text, labels=["model", "version"])
        for each in versions:
            counts, sum_s = histogram(each)
            family.add_metric([each.model, each.version], list(zip(bounds, accumulate(counts), strict=True)), sum_s)
        yield family


def _labels(version: VersionMetrics) -> dict[str, str]:
    return {"model": version.model, "version": version.version}
