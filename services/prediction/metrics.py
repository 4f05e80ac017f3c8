"""Prometheus metrics: Triton's names and labels, so that its dashboards work, and our own in seconds.

prometheus_client ends every counter in `_total`, which Triton does not; these are exposed as `unknown`, which both
text formats allow under any name and on which `rate()` works alike. `model` and `version` are only ever those of loaded
versions: a caller cannot grow the label space.
"""

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.registry import Collector

from services.prediction.errors import DeadlineExpiredError, InferenceFailedError, QueueFullError
from services.prediction.statistics import BatchSize, Duration, Statistics

FailureReason = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]

REASONS: dict[type[BaseException], FailureReason] = {
    QueueFullError: "REJECTED",
    DeadlineExpiredError: "CANCELED",
    asyncio.CancelledError: "CANCELED",
    InferenceFailedError: "BACKEND",
    BaseException: "OTHER",
}
"""Triton's reason for each error, by the nearest class in its MRO."""

COUNTS = {
    "request_success": "Requests answered",
    "count": "Rows answered",
    "exec_count": "Batches run",
    "request_duration_us": "Microseconds that answered requests took",
    "queue_duration_us": "Microseconds that requests waited",
    "compute_infer_duration_us": "Microseconds that requests spent in their batch's run",
}
"""Triton's counters that have no label but model and version, by what follows `nv_inference_`."""


class VersionMetrics:
    """The counts of one loaded version; written by the event loop only."""

    def __init__(self, model: str, version: str, duration: Histogram) -> None:
        self.model, self.version = model, version
        self.counts: Tally[str] = Tally()
        self.failures: Tally[FailureReason] = Tally()
        self.pending = 0
        self._last_inference_ms = 0
        self._failed_ns = 0
        self._runs: Tally[int] = Tally()
        self._runs_ns: Tally[int] = Tally()
        self._duration = duration.labels(model, version)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts what happens inside as one request: a success with its duration, or a failure with its reason."""
        started_s = time.monotonic()
        try:
            yield
        except BaseException as error:
            self.failures[next(REASONS[cls] for cls in type(error).__mro__ if cls in REASONS)] += 1
            self._failed_ns += round((time.monotonic() - started_s) * 1e9)
            raise
        took_s = time.monotonic() - started_s
        self.counts["request_success"] += 1
        self.counts["request_duration_us"] += round(took_s * 1e6)
        self._duration.observe(took_s)

    def observe_batch(self, num_rows: int, queue_s: Sequence[float], compute_s: float) -> None:
        """Counts one run: its rows, how long each of its requests had waited, and how long it took."""
        self.counts["exec_count"] += 1
        self.counts["count"] += num_rows
        self.counts["queue_duration_us"] += round(sum(queue_s) * 1e6)
        self.counts["compute_infer_duration_us"] += round(compute_s * 1e6) * len(queue_s)
        self.counts["run_requests"] += len(queue_s)
        self._runs[num_rows] += 1
        self._runs_ns[num_rows] += round(compute_s * 1e9)
        self._last_inference_ms = round(time.time() * 1000)

    def snapshot(self) -> Statistics:
        """The same counts as values."""
        run_requests = self.counts["run_requests"]
        return Statistics(
            last_inference_ms=self._last_inference_ms,
            inference_count=self.counts["count"],
            execution_count=self.counts["exec_count"],
            success=Duration(self.counts["request_success"], self.counts["request_duration_us"] * 1000),
            fail=Duration(self.failures.total(), self._failed_ns),
            queue=Duration(run_requests, self.counts["queue_duration_us"] * 1000),
            compute_input=Duration(run_requests),
            compute_output=Duration(run_requests),
            compute_infer=Duration(run_requests, self.counts["compute_infer_duration_us"] * 1000),
            batches=tuple(
                BatchSize(size, Duration(runs), Duration(runs, self._runs_ns[size]), Duration(runs))
                for size, runs in sorted(self._runs.items())
            ),
        )


class Metrics(Collector):
    """All metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._versions: dict[tuple[str, str], VersionMetrics] = {}
        self._duration = Histogram(
            "drivetrain_request_duration_seconds",
            "Seconds from a request's lookup to its answer",
            ["model", "version"],
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=self.registry,
        )
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
        self.registry.register(self)

    def of_version(self, model: str, version: str) -> VersionMetrics:
        """The counts of this version; a version that returns goes on where it left off."""
        key = (model, version)
        if key not in self._versions:
            self._versions[key] = VersionMetrics(model, version, self._duration)
        return self._versions[key]

    def describe(self) -> Iterable[Metric]:
        """Nothing up front: the families are known when they are collected."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Triton's families; called by the thread that serves the metrics."""
        versions = list(self._versions.values())
        for name, text in COUNTS.items():
            family = Metric(f"nv_inference_{name}", text, "unknown")
            for each in versions:
                family.add_sample(family.name, _labels(each), each.counts[name])
            yield family
        failures = Metric("nv_inference_request_failure", "Requests failed, by reason", "unknown")
        pending = Metric("nv_inference_pending_request_count", "Requests waiting now", "gauge")
        for each in versions:
            for reason in get_args(FailureReason):  # each from 0 on: a rate misses what begins at 1
                failures.add_sample(failures.name, {**_labels(each), "reason": reason}, each.failures[reason])
            pending.add_sample(pending.name, _labels(each), each.pending)
        yield failures
        yield pending


def _labels(version: VersionMetrics) -> dict[str, str]:
    return {"model": version.model, "version": version.version}
