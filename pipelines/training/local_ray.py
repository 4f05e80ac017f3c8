"""The Ray that this process has started for itself, and whether it still lives; see `remote_ray` for others.

Without it the process can neither go on nor learn that from Ray: whoever asks waits, and after a minute Ray ends the
process on the spot, with the run left open.
"""

import os

import psutil

from pipelines.errors import ClusterLostError

_NEEDED = ("gcs_server", "raylet")


def wanted_address() -> str:
    """`RAY_ADDRESS`; "local" where a Ray of its own is to be started."""
    return os.environ.get("RAY_ADDRESS") or "local"


class LocalRay:
    """Its processes as they are now; none where `RAY_ADDRESS` leads to a cluster."""

    def __init__(self) -> None:
        children = psutil.Process().children() if wanted_address() == "local" else []
        self._processes = [child for child in children if child.name() in _NEEDED]

    def check(self) -> None:
        """Raise ClusterLostError if one of them has ended."""
        if any(_has_ended(process) for process in self._processes):
            raise ClusterLostError("the local Ray was lost: one of its own processes ended without being asked to")

    def wait(self) -> None:
        """Do as `check` does: it cannot come back."""
        self.check()


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
