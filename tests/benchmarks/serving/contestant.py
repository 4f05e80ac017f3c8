"""What the benchmark knows of a server: how it is set up, and which command serves a model on a port."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.benchmarks.serving.models import Model

ALLOCATOR = "libjemalloc.so.2"
"""What the image of the prediction service is started with: glibc's malloc makes threads wait that pass on memory."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Launch:
    """One process to start."""

    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    """On top of the benchmark's own."""

    @property
    def full_environment(self) -> dict[str, str]:
        """What the process sees: the same allocator for everybody, and one OpenMP thread."""
        return dict(os.environ) | ONE_THREAD | {"LD_PRELOAD": ALLOCATOR} | dict(self.environment)


class Peer(Protocol):
    """One kind of server."""

    def set_up(self, workplace: Path) -> None:
        """Install what it needs under `workplace`, or find it there. Raises SetUpError."""

    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """The process that serves `model` on gRPC at 127.0.0.1:`port`; writes the files it needs under `workplace`."""


@dataclass(frozen=True)
class Contestant:
    """A server as it takes part: one name, one setting."""

    name: str
    title: str
    """As tables and plots call it."""
    peer: Peer
    models: Sequence[str]
    """Which models it serves."""
    predicts: bool = True
    """Whether its answers are predictions, and so can be checked."""


def free_port() -> int:
    """A port that is free now: not every peer can say which one it took."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
