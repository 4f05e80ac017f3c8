"""Data larger than memory: scanned for a dataset, then shuffled to disk. Ray Data loads only where it is used."""

from collections.abc import Callable
from pathlib import Path

from pipelines.data.dataset import Dataset
from pipelines.data.plans import Plan
from pipelines.data.shards import Shards
from pipelines.spec.training_spec import TrainingSpec


def load_streamed(spec: TrainingSpec, plan: Plan) -> Dataset:
    """Check and count all rows, and keep samples; Ray must be there. Raises DataError."""
    from pipelines.data.scan import scan

    return scan(spec, plan)


def write_training_rows(
    spec: TrainingSpec, dataset: Dataset, folder: Path, tell: Callable[[str], None]
) -> Shards | None:
    """The training rows of a streamed dataset on disk, or None for a resident one. Raises DataError, ResourceError."""
    if dataset.stream is None:
        return None
    from pipelines.data.shuffling import shuffle_to_shards

    tell("shuffling training rows to disk")
    return shuffle_to_shards(spec, dataset, dataset.stream, folder, tell)
