"""Checkpoints of a job, from which a lost one goes on: written whole or not at all, and checked when read.

A file is named after its moment and the SHA-256 of its content. Reading runs no code that a file might hold.
"""

import fcntl
import hashlib
import io
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import torch

from pipelines.errors import SupersededError
from pipelines.home import checkpoints_folder
from pipelines.spec.training import Checkpointing
from pipelines.training.health import Health
from pipelines.training.loop import EpochReport
from pipelines.training.tally import Measures

_log = logging.getLogger(__name__)

State = Mapping[str, Any]


class Moment(NamedTuple):
    """How far training has come."""

    epochs: int
    """That are over."""
    updates: int = 0
    """Of the next one."""


_AT_LEAST_S = 1.0
"""Between two checkpoints; epochs can be far shorter than writing a file takes."""
_SHARE = 0.05
"""Of the time of training, what writing may take."""


class Checkpoints:
    """The checkpoints in one folder, taken as often as `settings` say; without a folder none are kept.

    What comes after the last one is trained again, to the same weights.
    """

    def __init__(self, folder: Path | None, settings: Checkpointing) -> None:
        self._folder, self._settings = folder, settings
        self._last: Moment | None = None
        self._last_s = time.monotonic()
        self._pause_s = _AT_LEAST_S

    def newest(self) -> Moment | None:
        """The last moment with a checkpoint that is whole, if there is one. Deletes later ones that are not."""
        for moment, file in reversed(self._files()):
            if _content(file) is not None:
                return moment
            _log.warning("%s is not whole: going on from an earlier checkpoint", file)
            with suppress(OSError):
                file.unlink()
        return None

    def read(self, moment: Moment) -> State:
        """The state at a moment. FileNotFoundError if no whole checkpoint has it."""
        contents = (_content(file) for found, file in self._files() if found == moment)
        content = next((content for content in contents if content is not None), None)
        if content is None:
            raise FileNotFoundError(f"no whole checkpoint of {_told(moment)} in {self._folder}")
        self._last = moment
        with torch.serialization.safe_globals([EpochReport, Health, Measures]):
            state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state

    def is_due(self, moment: Moment) -> bool:
        """Whether it is time for a checkpoint, now that training has come to this moment."""
        pause_s = max(self._pause_s, self._settings.every_minutes * 60 if moment.updates else 0.0)
        return self._folder is not None and time.monotonic() >= self._last_s + pause_s

    def write(self, moment: Moment, state: State) -> None:
        """Write the state at a moment unless that is there, and forget all but the newest.

        A fault of the disk is logged: training goes on without.
        """
        if self._folder is None or moment == self._last:
            return
        started_s = time.monotonic()
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        try:
            self._put(self._folder, moment, buffer.getbuffer())
        except OSError as error:
            _log.warning("could not write the checkpoint of %s (%s); training goes on", _told(moment), error)
        self._last, self._last_s = moment, time.monotonic()
        self._pause_s = max(_AT_LEAST_S, (self._last_s - started_s) / _SHARE)

    def _put(self, folder: Path, moment: Moment, content: memoryview) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{moment.epochs:08d}-{moment.updates:08d}-"
        part = folder / f"{name}{os.getpid()}.part"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(folder / f"{name}{hashlib.sha256(content).hexdigest()}.pt")
        newest = {file for _, file in self._files()[-self._settings.keep :]}
        for old in set(folder.iterdir()) - newest:
            old.unlink(missing_ok=True)

    def _files(self) -> list[tuple[Moment, Path]]:
        """Oldest first."""
        return (
            [] if self._folder is None else sorted((_moment_of(file), file) for file in self._folder.glob("*-*-*.pt"))
        )


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


def _content(file: Path) -> bytes | None:
    """What is in a checkpoint; None if it is not whole."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == file.stem.rpartition("-")[2] else None


def _moment_of(file: Path) -> Moment:
    epochs, updates, _ = file.stem.split("-")
    return Moment(int(epochs), int(updates))


def _told(moment: Moment) -> str:
    within = f" and {moment.updates} updates" if moment.updates else ""
    return f"{moment.epochs} epochs{within}"
