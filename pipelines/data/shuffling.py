"""Training rows from their files to shards, encoded, each to one drawn at random: an external shuffle."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipelines.data.dataset import Dataset, Stream
from pipelines.data.draws import uniform
from pipelines.data.plans import TRAIN, Piece, parts_of
from pipelines.data.ray_blocks import results_of
from pipelines.data.row_names import BY_NUMBER
from pipelines.data.scan import targets_of
from pipelines.data.shards import SHARD_BYTES, Block, Layout, Shards, check_disk, find_shards, num_shards, write_shards
from pipelines.errors import DataError
from pipelines.spec.training_spec import TrainingSpec

_TELL_EVERY_S = 5.0


def shuffle_to_shards(
    spec: TrainingSpec,
    dataset: Dataset,
    stream: Stream,
    folder: Path,
    tell: Callable[[str], None],
    shard_bytes: int = SHARD_BYTES,
) -> Shards:
    """Write the training rows of a dataset, or find them written. Ray must be there.

    Raises ResourceError where the disk is too small, and DataError if the files have changed.
    """
    layout = Layout(dataset.row_shape, stream.plan.stored_type(dataset), "<i8" if dataset.labels else "<f4")
    none = dataset.train.none()
    bare = replace(dataset, train=none, validation=none, test=none, stream=None, row_names=BY_NUMBER)
    count = num_shards(stream.num_rows * layout.dtype.itemsize, shard_bytes)
    tasks = replace(stream, plan=stream.plan.bare())
    work = partial(_encoded, spec=spec, dataset=bare, stream=tasks, count=count)
    key = _key(spec, dataset, count)
    if found := find_shards(folder, key):
        return found
    check_disk(folder.parent, stream.num_rows, layout)
    blocks = _told(results_of(stream.plan.pieces(), work), stream.num_rows, tell)
    return write_shards(folder, key, count, layout, blocks)


def _encoded(piece: Piece, spec: TrainingSpec, dataset: Dataset, stream: Stream, count: int) -> Iterator[Block]:
    """In a task of Ray Data."""
    encode = stream.plan.encoder(dataset)
    for ids, table in stream.plan.read(piece):
        chosen = parts_of(ids, spec.data.split, spec.seed) == TRAIN
        rows, places = table.take(chosen), (uniform(spec.seed, "shard", ids[chosen]) * count).astype(np.int64)
        targets = targets_of(rows, spec, dict(stream.classes)).values
        if not dataset.labels:
            targets = dataset.target.apply(targets).astype(np.float32)
        order = np.argsort(places, kind="stable")
        counts = tuple(np.bincount(places, minlength=count).tolist())
        yield Block(encode(rows)[order], targets[order], counts, ids[chosen][order])


def _told(blocks: Iterator[Block], num_rows: int, tell: Callable[[str], None]) -> Iterator[Block]:
    done, told_s = 0, time.monotonic()
    for block in blocks:
        yield block
        done += len(block.targets)
        if time.monotonic() > told_s + _TELL_EVERY_S:
            told_s = time.monotonic()
            tell(f"shuffling training rows to disk: {done / num_rows:.0%}")
    if done != num_rows:
        came = f"{done} training rows where there were {num_rows}"
        raise DataError("data.path", "files that stay as they are while a job reads them", came)


def _key(spec: TrainingSpec, dataset: Dataset, count: int) -> str:
    made_with = (dataset.digest, spec.seed, spec.data, dataset.encoding, dataset.text, dataset.row_shape, count)
    scales = [each.tobytes() for scale in (dataset.features, dataset.target) for each in (scale.mean, scale.deviation)]
    return hashlib.sha256(repr(made_with).encode() + b"".join(scales)).hexdigest()
