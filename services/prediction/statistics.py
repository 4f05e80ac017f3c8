"""What a version has done so far, as plain values: counts, and total times in nanoseconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Duration:
    """How often something happened, and how long it took in total."""

    count: int = 0
    total_ns: int = 0


NEVER = Duration()


@dataclass(frozen=True)
class BatchSize:
    """The runs of one size, in rows: the count of all three."""

    batch_size: int
    compute_input: Duration = NEVER
    compute_infer: Duration = NEVER
    compute_output: Duration = NEVER


@dataclass(frozen=True)
class Statistics:
    """A version's totals since its process began; the durations but those of `batches` count requests.

    The three `compute_` have one count, also where no time was measured: perf_analyzer ends with an error otherwise.
    """

    last_inference_ms: int = 0
    """Of the newest run, in milliseconds since the epoch; 0 where there was none."""
    inference_count: int = 0
    """Rows."""
    execution_count: int = 0
    """Runs."""
    success: Duration = NEVER
    fail: Duration = NEVER
    queue: Duration = NEVER
    compute_input: Duration = NEVER
    compute_infer: Duration = NEVER
    compute_output: Duration = NEVER
    batches: tuple[BatchSize, ...] = ()
    """By size, ascending."""
