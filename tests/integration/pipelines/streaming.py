"""The two steps that bring streamed rows to disk, each by itself."""

from pathlib import Path

from pipelines.data.dataset import Dataset
from pipelines.data.planning import plan_of
from pipelines.data.scan import SAMPLE_BYTES, scan
from pipelines.data.shards import Shards
from pipelines.data.shuffling import shuffle_to_shards
from pipelines.spec.data import Streamable
from pipelines.spec.training_spec import TrainingSpec


def scanned(spec: TrainingSpec, sample_bytes: int = SAMPLE_BYTES) -> Dataset:
    assert isinstance(spec.data, Streamable)
    return scan(spec, plan_of(spec.data), sample_bytes)


def shuffled(spec: TrainingSpec, dataset: Dataset, folder: Path) -> Shards:
    """Few rows a shard, so that there are several."""
    assert dataset.stream is not None
    return shuffle_to_shards(spec, dataset, dataset.stream, folder, lambda _: None, shard_bytes=4096)
