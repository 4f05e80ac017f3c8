"""What one process of several is told when it is started: who it is, and its part of what all may take."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from services.prediction.cores import available_cores, intra_op_threads
from services.prediction.settings import Settings

LEAST_PENDING_BYTES = 2**20
"""As the setting has it."""


class Place(BaseModel):
    """One process of several; it and the others share the ports."""

    model_config = ConfigDict(frozen=True)

    number: int
    processes: int
    parent: int
    """Process id."""
    folder: Path
    """Of the parent's user alone: the sockets by which the processes speak with each other."""
    again: bool
    """Whether it follows one that died: the others serve, so it takes no connection before it can answer."""

    @property
    def page(self) -> Path:
        """Socket of its metrics."""
        return self.folder / f"{self.number}.page"

    def door(self, number: int) -> str:
        """Address of a process's gRPC server for the others."""
        return f"unix:{self.folder}/{number}.grpc"

    @property
    def others(self) -> list[int]:
        """Numbers of the other processes."""
        return [number for number in range(self.processes) if number != self.number]


def part_of(settings: Settings, port: int, rest_port: int) -> Settings:
    """The settings of each process: these ports, and its part of cores and memory.

    Threads that are given are meant for each operator, so they stay; the cache is one folder for all.
    """
    processes = settings.processes
    return settings.model_copy(
        update={
            "port": port,
            "rest_port": rest_port,
            "threads": settings.threads or intra_op_threads(max(available_cores() // processes, 1)),
            "max_pending_bytes": max(settings.max_pending_bytes // processes, LEAST_PENDING_BYTES),
            "memory_max_bytes": -(-settings.memory_max_bytes // processes),
        }
    )
