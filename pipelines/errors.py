"""Every error the pipeline raises on purpose.

    DrivetrainError
    ├── SpecError         the spec is wrong: names each YAML path, what was expected, what came
    ├── DataError         the data does not fit the spec
    ├── ResourceError     the cluster cannot give what the spec asks for
    ├── TrainingError     a worker failed
    │   ├── NonFiniteError        the loss is no longer a number: where that began
    │   └── WorkerLostError       its process or node is gone
    │       └── ClusterLostError  and so is the Ray that could start another
    ├── TrackingError     the MLflow run could not be opened or closed
    │   └── SupersededError       the run is another process's now
    └── RegistryError     the model registry refused or could not be reached
        ├── RegistryOutageError   it may answer later
        └── PackageError          a version's files are missing, altered or inconsistent

SpecError, DataError and ResourceError are the user's to mend (exit code 2); the others mean that a job failed
(exit code 1).
"""

from dataclasses import dataclass

_ROWS_SHOWN = 10


def last_line(error: BaseException) -> str:
    """What an error of somebody else's comes to: the last line of its text, or its name if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class DrivetrainError(Exception):
    """Root of the errors that carry a message for the user instead of a traceback."""


@dataclass(frozen=True)
class Mismatch:
    """One thing wrong with a spec; `path` is its place in the YAML, such as `training.epochs`."""

    path: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.path or 'spec'}: expected {self.expected}, came {self.came}"


class SpecError(DrivetrainError):
    """The spec is wrong in the places that `mismatches` lists."""

    def __init__(self, *mismatches: Mismatch) -> None:
        super().__init__(*mismatches)
        self.mismatches = mismatches

    def __str__(self) -> str:
        return "\n".join(map(str, self.mismatches))


class DataError(DrivetrainError):
    """The data does not fit the spec; `field` is the part of the spec that led here, such as `data.path`."""

    def __init__(self, field: str, expected: str, came: str) -> None:
        super().__init__(field, expected, came)
        self.field, self.expected, self.came = field, expected, came

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class ResourceError(DrivetrainError):
    """The spec asks for more than the cluster has."""


class TrainingError(DrivetrainError):
    """A training worker failed."""


class NonFiniteError(TrainingError):
    """The loss is no longer finite: where the first value that is not showed.

    `step` of the epoch put `rows` of the `part` (as people count them, such as "3 of birds.csv") through the network;
    `place` is the layer, weights, gradient or loss; `advice` says what to try.
    """

    def __init__(self, epoch: int, step: int, part: str, rows: tuple[str, ...], place: str, advice: str) -> None:
        super().__init__(epoch, step, part, rows, place, advice)
        self.epoch, self.step, self.part, self.rows = epoch, step, part, rows
        self.place, self.advice = place, advice

    def __str__(self) -> str:
        shown = ", ".join(self.rows[:_ROWS_SHOWN])
        more = f" and {len(self.rows) - _ROWS_SHOWN} more" if len(self.rows) > _ROWS_SHOWN else ""
        return (
            f"the loss is no longer finite in epoch {self.epoch}: the first bad value is in {self.place}, in step "
            f"{self.step} with the {self.part} rows {shown}{more}; try {self.advice}"
        )


class WorkerLostError(TrainingError):
    """A worker's process or node is gone, through no fault of the job: another worker can go on from a checkpoint."""


class ClusterLostError(WorkerLostError):
    """The Ray that ran the job is gone: another process can go on from a checkpoint."""


class TrackingError(DrivetrainError):
    """The MLflow run could not be opened or closed."""


class SupersededError(TrackingError):
    """The run is another process's now: this one leaves it as it is."""


class RegistryError(DrivetrainError):
    """The model registry refused a request or could not be reached."""


class RegistryOutageError(RegistryError):
    """The model registry, or the database or store behind it, does not answer: it may later."""


class PackageError(RegistryError):
    """A version's files are missing, altered or do not fit each other."""
