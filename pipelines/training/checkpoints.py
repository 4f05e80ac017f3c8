"""Checkpoints of a job, from which a lost one goes on: written whole or not at all, and checked when read.

A file is named after the number of epochs that are over and the SHA-256 of its content; its state may be from within
the next epoch. Reading runs no code that a file might hold.
"""

import fcntl
import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch

from pipelines.errors import SupersededError
from pipelines.home import checkpoints_folder
from pipelines.training.health import Health
from pipelines.training.loop import EpochReport, Passed
from pipelines.training.tally import Measures

_log = logging.getLogger(__name__)

State = Mapping[str, Any]

NONE = -1
"""No epoch: 0 stands for the first one, which may have a checkpoint within."""

_KEPT = 2
_EVERY_S = 1.0
_SHARE = 0.05
"""Of the time of training, what writing may take."""


class Checkpoints:
    """The checkpoints in one folder; without a folder none are kept.

    Epochs can be far shorter than writing a file takes, so `offer` writes at most one a second, and none that would
    take more than a twentieth of the time. What comes after the last one is trained again, to the same weights.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._due_s = time.monotonic() + _EVERY_S
        self._last = NONE

    def newest(self) -> int:
        """The last epoch with a checkpoint that is whole, or NONE. Deletes later ones that are not."""
        for epoch, file in sorted(self._files().items(), reverse=True):
            if self._content(epoch) is not None:
                return epoch
            _log.warning("the checkpoint of epoch %d is not whole: going on from an earlier one", epoch)
            with suppress(OSError):
                file.unlink()
        return NONE

    def read(self, epoch: int) -> State:
        """The state after an epoch, or from within the next. FileNotFoundError if no whole checkpoint has it."""
        content = self._content(epoch)
        if content is None:
            raise FileNotFoundError(f"no whole checkpoint of epoch {epoch} in {self._folder}")
        self._last = epoch
        with torch.serialization.safe_globals([EpochReport, Health, Measures, Passed]):
            state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state

    def offer(self, epoch: int, state: Callable[[], State]) -> None:
        """Write the state after an epoch, or from within the next, if it is time to."""
        if self._folder is not None and time.monotonic() >= self._due_s:
            self._keep(self._folder, epoch, state)

    def write(self, epoch: int, state: Callable[[], State]) -> None:
        """Write the state after an epoch unless that is there, and forget all but the last two.

        A fault of the disk is logged: training goes on without.
        """
        if self._folder is not None and epoch != self._last:
            self._keep(self._folder, epoch, state)

    def _keep(self, folder: Path, epoch: int, state: Callable[[], State]) -> None:
        started_s = time.monotonic()
        buffer = io.BytesIO()
        torch.save(dict(state()), buffer)
        try:
            _write(folder, epoch, buffer.getbuffer())
        except OSError as error:
            _log.warning("could not write the checkpoint of epoch %d (%s); training goes on", epoch, error)
        self._last = epoch
        self._due_s = time.monotonic() + max(_EVERY_S, (time.monotonic() - started_s) / _SHARE)

    def _files(self) -> dict[int, Path]:
        return {} if self._folder is None else _files(self._folder)

    def _content(self, epoch: int) -> bytes | None:
        file = self._files().get(epoch)
        if file is None:
            return None
        try:
            content = file.read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == _sha256_of(file) else None


@contextmanager
def claimed(run_id: str) -> Iterator[None]:
    """Within it no other process of this machine works on the run. Raises SupersededError if one does."""
    folder = checkpoints_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "claim").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SupersededError(f"another process is at work on run {run_id}") from None
        yield


def forget(folder: Path) -> None:
    """Delete the checkpoints of a job that needs them no more."""
    rmtree(folder, ignore_errors=True)


def _write(folder: Path, epoch: int, content: memoryview) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{epoch:08d}-{os.getpid()}.part"
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    written = part.replace(folder / f"{epoch:08d}-{hashlib.sha256(content).hexdigest()}.pt")
    epochs = sorted((_files(folder) | {epoch: written}).items())
    for old in set(folder.iterdir()) - {file for _, file in epochs[-_KEPT:]}:
        old.unlink(missing_ok=True)


def _files(folder: Path) -> dict[int, Path]:
    return {int(file.name.partition("-")[0]): file for file in folder.glob("*-*.pt")}


def _sha256_of(file: Path) -> str:
    return file.stem.partition("-")[2]
