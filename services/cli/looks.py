"""What a prediction service does, between two looks at its statistics. Pure but for the two calls."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from services.cli.connection import Connection
    from services.prediction.pb import open_inference_pb2 as pb


@dataclass(frozen=True)
class Counts:
    """Of one version, since it was first loaded."""

    requests: int = 0
    rows: int = 0
    batches: int = 0
    failures: int = 0
    queue_ns: int = 0
    compute_ns: int = 0
    last_inference_ms: int = 0
    """When it ran last, since the epoch; 0 for never."""

    @classmethod
    def of(cls, statistics: "pb.ModelStatistics") -> Self:
        """As ModelStatistics tells them."""
        of_requests = statistics.inference_stats
        parts = (of_requests.compute_input, of_requests.compute_infer, of_requests.compute_output)
        return cls(
            requests=of_requests.success.count,
            rows=statistics.inference_count,
            batches=statistics.execution_count,
            failures=of_requests.fail.count,
            queue_ns=of_requests.queue.ns,
            compute_ns=sum(part.ns for part in parts),
            last_inference_ms=statistics.last_inference,
        )


@dataclass(frozen=True)
class Look:
    """What the service said at `at_s`, of `time.monotonic()`."""

    at_s: float
    index: Sequence["pb.RepositoryIndexResponse.ModelIndex"]
    counts: dict[tuple[str, str], Counts]
    """By model and version; of those that are served."""


@dataclass(frozen=True)
class Activity:
    """A version, and what it did between two looks. A mean is None where there was nothing to take it of."""

    model: str
    version: str
    state: str
    note: str
    """Its aliases and who promoted it, or why it is not served."""
    requests_per_second: float = 0.0
    rows_per_second: float = 0.0
    failures_per_second: float = 0.0
    queue_ms: float | None = None
    """A request's mean."""
    compute_ms: float | None = None
    """A request's mean, in which it shares the time of its batch."""
    rows_per_batch: float | None = None
    last_inference_ms: int = 0

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def look(connection: "Connection") -> Look:
    """Ask the service. Raises what `Connection.call` does."""
    from services.prediction.pb import open_inference_pb2 as pb
    from services.prediction.pb.open_inference_pb2_grpc import GRPCInferenceServiceStub

    stub = GRPCInferenceServiceStub(connection.channel)
    index = connection.call(stub.RepositoryIndex, pb.RepositoryIndexRequest())
    statistics = connection.call(stub.ModelStatistics, pb.ModelStatisticsRequest())
    counts = {(each.name, each.version): Counts.of(each) for each in statistics.model_stats}
    return Look(time.monotonic(), list(index.models), counts)


def activities(before: Look, now: Look) -> list[Activity]:
    """Every version that the service knows now, in the index's order."""
    seconds = now.at_s - before.at_s
    return [_activity(row, before.counts, now.counts, seconds) for row in now.index]


def _activity(
    row: "pb.RepositoryIndexResponse.ModelIndex",
    before: dict[tuple[str, str], Counts],
    now: dict[tuple[str, str], Counts],
    seconds: float,
) -> Activity:
    key = (row.name, row.version)
    activity = Activity(row.name, row.version, row.state, row.reason)
    if key not in now:
        return activity
    last, first = now[key], before.get(key, Counts())
    if last.requests < first.requests or last.failures < first.failures:  # the server has started anew
        first = Counts()
    requests, rows, batches = last.requests - first.requests, last.rows - first.rows, last.batches - first.batches
    return Activity(
        *(row.name, row.version, row.state, row.reason),
        requests_per_second=requests / seconds,
        rows_per_second=rows / seconds,
        failures_per_second=(last.failures - first.failures) / seconds,
        queue_ms=(last.queue_ns - first.queue_ns) / requests / 1e6 if requests else None,
        compute_ms=(last.compute_ns - first.compute_ns) / requests / 1e6 if requests else None,
        rows_per_batch=rows / batches if batches else None,
        last_inference_ms=last.last_inference_ms,
    )
