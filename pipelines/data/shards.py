"""Training rows on disk, each in a shard drawn at random: written whole or not at all, read a shard at a time."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import disk_usage, rmtree

import numpy as np
from numpy.typing import NDArray

from pipelines.data.draws import RowIds
from pipelines.errors import ResourceError, TrainingError

SHARD_BYTES = 32 * 2**20
MAX_SHARDS = 512
"""Each gets a piece of every block that is written; beyond 16 GiB shards grow instead."""

_INDEX = "index.json"
_SPARE_BYTES = 256 * 2**20
"""What is left on the disk for checkpoints and all else."""

Arrays = tuple[NDArray[np.generic], NDArray[np.generic]]
"""Features (N, *row) and targets (N,)."""

_ID_TYPE = "<u8"


@dataclass(frozen=True)
class Block:
    """Rows in the order of their shards, `counts` of each shard."""

    features: NDArray[np.generic]
    targets: NDArray[np.generic]
    counts: tuple[int, ...]
    ids: RowIds


@dataclass(frozen=True)
class Layout:
    """A row on disk: its features, its target and its id, so that a shard is one file that grows at its end."""

    row_shape: tuple[int, ...]
    features_type: str
    """In numpy's notation: floats are scaled, whole numbers are pixels as they are, or token indices."""
    target_type: str

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Of a whole row."""
        features = ("features", self.features_type, self.row_shape)
        return np.dtype([features, ("target", self.target_type), ("id", _ID_TYPE)])


@dataclass(frozen=True)
class Shards:
    """A complete set of shards; a row's index is its place when one follows the other."""

    folder: str
    key: str
    """What the rows were made with; another key asks for other rows."""
    sizes: tuple[int, ...]
    """Rows of each."""
    sha256: tuple[str, ...]
    layout: Layout

    def __len__(self) -> int:
        return sum(self.sizes)


def num_shards(total_bytes: int, shard_bytes: int = SHARD_BYTES) -> int:
    """How many shards so much is divided into."""
    return min(MAX_SHARDS, max(1, -(-total_bytes // shard_bytes)))


def find_shards(folder: Path, key: str) -> Shards | None:
    """The complete set of this key in a folder, if there is one."""
    try:
        known = json.loads((folder / _INDEX).read_text())
        row = known["layout"]
        layout = Layout(tuple(row["row_shape"]), row["features_type"], row["target_type"])
        shards = Shards(str(folder), known["key"], tuple(known["sizes"]), tuple(known["sha256"]), layout)
    except (OSError, ValueError, KeyError):
        return None
    files = [folder / _name(number) for number in range(len(shards.sizes))]
    whole = all(
        file.is_file() and file.stat().st_size == size * layout.dtype.itemsize
        for file, size in zip(files, shards.sizes, strict=True)
    )
    return shards if whole and shards.key == key else None


def check_disk(folder: Path, num_rows: int, layout: Layout) -> None:
    """Raise ResourceError if the disk has too little room for so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, free = num_rows * layout.dtype.itemsize + _SPARE_BYTES, disk_usage(folder).free
    if wanted > free:
        raise ResourceError(
            f"data.memory: the training rows stream from {folder}, where they need {wanted / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free; make room, or put DRIVETRAIN_HOME on a larger disk"
        )


def write_shards(folder: Path, key: str, count: int, layout: Layout, blocks: Iterable[Block]) -> Shards:
    """Append every block's rows to their shards, and name the set `folder` when it is complete."""
    begun = folder.with_name(f"{folder.name}-{os.getpid()}.part")
    for old in folder.parent.glob(f"{folder.name}*"):
        rmtree(old, ignore_errors=True)
    begun.mkdir(parents=True)
    sizes, hashes = np.zeros(count, np.int64), [hashlib.sha256() for _ in range(count)]
    for block in blocks:
        ends = np.cumsum(block.counts)
        for number in np.flatnonzero(block.counts).tolist():
            rows = slice(ends[number] - block.counts[number], ends[number])
            content = _interleaved(layout, block.features[rows], block.targets[rows], block.ids[rows])
            hashes[number].update(content)
            with (begun / _name(number)).open("ab") as file:
                file.write(content)
        sizes += np.array(block.counts)
    for number in np.flatnonzero(sizes == 0).tolist():
        (begun / _name(number)).touch()
    shards = Shards(str(folder), key, tuple(sizes.tolist()), tuple(each.hexdigest() for each in hashes), layout)
    _sync(begun, count)
    (begun / _INDEX).write_text(json.dumps(asdict(shards)))
    begun.rename(folder)
    return shards


class ShardReader:
    """Rows of shards by their indices; at most two shards are in memory. Threads may share one."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self._starts = np.concatenate([[0], np.cumsum(shards.sizes)])
        self._held: OrderedDict[int, Arrays] = OrderedDict()
        self._checked: set[int] = set()
        self._lock = threading.Lock()

    def take(self, rows: NDArray[np.int64]) -> Arrays:
        """Features and targets of these rows, in their order. TrainingError if a shard is gone or altered."""
        layout = self._shards.layout
        features = np.empty((len(rows), *layout.row_shape), np.dtype(layout.features_type))
        targets = np.empty(len(rows), np.dtype(layout.target_type))
        of_shard = np.searchsorted(self._starts, rows, side="right") - 1
        numbers, first = np.unique(of_shard, return_index=True)
        with self._lock:
            for number in numbers[np.argsort(first)].tolist():
                places = np.flatnonzero(of_shard == number)
                inside = rows[places] - self._starts[number]
                shard = self._shard(number)
                features[places], targets[places] = shard[0][inside], shard[1][inside]
        return features, targets

    def ids(self, rows: NDArray[np.int64]) -> RowIds:
        """(N,): where these rows are from. TrainingError if a shard is gone or altered."""
        of_shard = np.searchsorted(self._starts, rows, side="right") - 1
        ids = np.empty(len(rows), np.uint64)
        for number in np.unique(of_shard).tolist():
            places = np.flatnonzero(of_shard == number)
            ids[places] = self._read(number)["id"][rows[places] - self._starts[number]]
        return ids

    def _shard(self, number: int) -> Arrays:
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        while len(self._held) > 1:
            self._held.popitem(last=False)
        read = self._read(number)
        self._held[number] = read["features"], read["target"]
        return self._held[number]

    def _read(self, number: int) -> NDArray[np.void]:
        path = Path(self._shards.folder) / _name(number)
        rows = np.empty(self._shards.sizes[number], self._shards.layout.dtype)
        try:
            with path.open("rb") as file:  # buffered: it asks again for what one read, at most 2 GiB, has left out
                read = file.readinto(rows.view(np.uint8).data) if len(rows) else 0  # without the GIL
        except OSError as error:
            raise TrainingError(f"a shard of the training rows cannot be read: {error}") from error
        if read != rows.nbytes or not self._is_sound(number, rows):
            raise TrainingError(f"the shard {path} of the training rows was altered: delete {path.parent} and go on")
        return rows

    def _is_sound(self, number: int, rows: NDArray[np.generic]) -> bool:
        """Looked at once: what was right when it was first read is not read from the disk anew in each epoch."""
        if number not in self._checked:
            self._checked.add(number)
            return hashlib.sha256(rows.view(np.uint8).data).hexdigest() == self._shards.sha256[number]
        return True


def _interleaved(layout: Layout, features: NDArray[np.generic], targets: NDArray[np.generic], ids: RowIds) -> bytes:
    rows = np.empty(len(targets), layout.dtype)
    rows["features"], rows["target"], rows["id"] = features, targets, ids
    return rows.tobytes()


def _name(number: int) -> str:
    return f"{number:04d}.rows"


def _sync(folder: Path, count: int) -> None:
    for number in range(count):
        with (folder / _name(number)).open("rb") as file:
            os.fsync(file.fileno())
