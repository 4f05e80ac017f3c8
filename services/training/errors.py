"""What only the training service raises on purpose; the services' common errors are in `services.rpc.errors`.

CallError
├── InvalidRequestError
│   └── InvalidSpecError      the spec is wrong: names each place, what was expected, what came
├── NotFoundError
│   └── UnknownJobError       there is no job of this id
├── AlreadyExistsError
│   └── KeyReusedError        the idempotency key stands for another spec
├── PreconditionError
│   ├── JobStateError         the job's state does not allow this
│   ├── CapacityError         the cluster can never run this
│   └── TrackingRefusedError  MLflow refuses: credentials, or an experiment that was deleted
├── ExhaustedError
│   └── QueueFullError        too many jobs wait
└── NotReadyError
    ├── TrackingAwayError     MLflow cannot be asked just now
    └── ClusterAwayError      Ray cannot be asked just now
"""

from pipelines.errors import Mismatch
from services.rpc.errors import (
    AlreadyExistsError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
)


class InvalidSpecError(InvalidRequestError):
    """The spec is wrong in the places that `mismatches` lists."""

    def __init__(self, mismatches: tuple[Mismatch, ...]) -> None:
        super().__init__("spec", "a spec without mistakes", f"{len(mismatches)}")
        self.args = (mismatches,)
        self.mismatches = mismatches

    def __str__(self) -> str:
        return "\n".join(map(str, self.mismatches))


class UnknownJobError(NotFoundError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"unknown job {self.job_id[:128]!r}"


class KeyReusedError(AlreadyExistsError):
    """The idempotency key was used for another spec."""

    def __init__(self, key: str, job_id: str) -> None:
        super().__init__(key, job_id)
        self.key, self.job_id = key, job_id

    def __str__(self) -> str:
        return f"idempotency_key {self.key!r} stands for another spec, that of job {self.job_id}"


class JobStateError(PreconditionError):
    """The job's state does not allow this."""

    def __init__(self, job_id: str, state: str, expected: str) -> None:
        super().__init__(job_id, state, expected)
        self.job_id, self.state, self.expected = job_id, state, expected

    def __str__(self) -> str:
        return f"job {self.job_id}: expected {self.expected}, it is {self.state}"


class CapacityError(PreconditionError):
    """The cluster can never run this, however long it waits."""


class TrackingRefusedError(PreconditionError):
    """MLflow answered, and refused; its own words are in the log."""

    def __str__(self) -> str:
        return "the tracking server refuses this: the service's log says why, such as an experiment that was deleted"


class QueueFullError(ExhaustedError):
    """`limit` jobs wait already."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the queue is full: {self.limit} jobs wait already"


class TrackingAwayError(NotReadyError):
    """MLflow did not answer; its own words are in the log, they may name internal addresses."""

    def __str__(self) -> str:
        return "the tracking server cannot be reached"


class ClusterAwayError(NotReadyError):
    """Ray did not answer, or not as expected."""

    def __str__(self) -> str:
        return "the Ray cluster cannot be reached"
