"""Prometheus metrics of the training service. Labels are states, and models that have unfinished jobs."""

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.training.jobs import ENDED, Job

_WAITS_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)


class Metrics:
    """All metrics of one training service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._training: set[str] = set()
        self._jobs = Gauge("drivetrain_training_jobs", "Unfinished jobs now", ["state"], registry=self.registry)
        self.ended = Counter("drivetrain_training_jobs_ended", "Jobs that ended", ["state"], registry=self.registry)
        self.restarts = Counter("drivetrain_training_restarts", "Lost attempts retried", registry=self.registry)
        self.queue_seconds = Histogram(
            "drivetrain_training_queue_seconds",
            "Seconds from submission to the first attempt",
            buckets=_WAITS_S,
            registry=self.registry,
        )
        self.epochs = Counter("drivetrain_training_epochs", "Epochs trained", registry=self.registry)
        self._rows = Gauge(
            "drivetrain_training_rows_per_second", "Of the last epoch", ["model"], registry=self.registry
        )
        self.uploaded = Counter("drivetrain_training_uploaded_bytes", "Bytes of datasets", registry=self.registry)
        for state in ("QUEUED", "STARTING", "RUNNING"):
            self._jobs.labels(state)
        for state in ENDED:
            self.ended.labels(state)

    def observe(self, jobs: Sequence[Job]) -> None:
        """Set the numbers of jobs; forget the speed of models that train no longer."""
        states = Tally(job.state for job in jobs)
        for state in ("QUEUED", "STARTING", "RUNNING"):
            self._jobs.labels(state).set(states[state])
        training = {job.model for job in jobs if job.state == "RUNNING"}
        for model in self._training - training:
            self._rows.remove(model)
        self._training &= training

    def observe_epoch(self, model: str, rows_per_second: float) -> None:
        """Count an epoch."""
        self.epochs.inc()
        self._training.add(model)
        self._rows.labels(model).set(rows_per_second)
