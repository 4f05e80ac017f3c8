"""Processes that meet as a team over gloo, at a store which the test keeps open: none can leave before the others."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed

from pipelines.training.team import DistributedTeam


def meet(module: str, size: int, *arguments: str) -> None:
    """Run `python -m MODULE PORT RANK SIZE ARGUMENTS` for each rank, with a module of this package, to their ends."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined] # torch hides the re-export
    command = [sys.executable, "-m", f"tests.unit.pipelines.training.{module}", str(store.port)]
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    members = [
        subprocess.Popen([*command, str(rank), str(size), *arguments], env=environment, cwd=Path(__file__).parents[4])
        for rank in range(size)
    ]
    try:
        assert [member.wait(timeout=150) for member in members] == [0] * size
    finally:
        for member in members:
            member.kill()
            member.wait()


@contextmanager
def met(port: str, rank: str, size: str) -> Iterator[DistributedTeam]:
    """One of the processes, as a member of the team."""
    torch.set_num_threads(1)
    store = torch.distributed.TCPStore("127.0.0.1", int(port), is_master=False)  # type: ignore[attr-defined] # torch hides the re-export
    torch.distributed.init_process_group("gloo", store=store, rank=int(rank), world_size=int(size))
    try:
        yield DistributedTeam()
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()
