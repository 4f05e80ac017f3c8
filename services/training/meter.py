"""Counts the epochs that running jobs train, from their journals."""

from collections.abc import Sequence

from services.training.feed import journal_size, read_block
from services.training.jobs import Job
from services.training.journal import attempt_path
from services.training.metrics import Metrics


class EpochMeter:
    """Follows the journals of running jobs. What they told before this process began is not counted again."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._offsets: dict[str, int] = {}
        self._is_first = True

    def read(self, jobs: Sequence[Job]) -> None:
        """Count what is new in the journals of these jobs, and forget the others."""
        offsets = {}
        for job in (job for job in jobs if job.attempt):
            path = attempt_path(job.id, job.attempt)
            offset = self._offsets.get(job.submission_id, journal_size(path) if self._is_first else 0)
            while block := read_block(path, offset):
                for entry in block:
                    if entry.fields["kind"] == "epoch":
                        self._metrics.observe_epoch(job.model, entry.fields["metrics"]["rows_per_second"])
                offset = block[-1].end
            offsets[job.submission_id] = offset
        self._offsets, self._is_first = offsets, False
