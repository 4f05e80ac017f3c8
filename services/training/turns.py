"""Whose turn it is: models take turns, and within a model the oldest job comes first."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.training.jobs import Job

_NEVER = datetime.min.replace(tzinfo=UTC)


def next_job(queued: Sequence[Job], running: Sequence[Job], last_turns: Mapping[str, datetime]) -> Job | None:
    """The queued job to start next; None if there is none.

    The model with the fewest running jobs comes first, then the one whose last turn (`last_turns`) is the longest ago.
    """
    at_work = Counter(job.model for job in running)

    def rank(job: Job) -> tuple[int, datetime, datetime]:
        return at_work[job.model], last_turns.get(job.model, _NEVER), job.submitted

    return min(queued, key=rank, default=None)
