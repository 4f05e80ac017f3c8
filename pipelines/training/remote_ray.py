"""The Ray cluster that this process has joined, and whether it is still there.

Its head may go and come back, and jobs go on. If it stays away for a minute Ray ends this process on the spot, with the
run left open, so whoever watches gives up before. The node that was joined cannot come back for this process, which
ends without a word at its next use of it.
"""

import os
import socket
import time
from pathlib import Path

from pipelines.errors import ClusterLostError

_PATIENCE_VARIABLE, _PATIENCE_S = "RAY_gcs_rpc_server_reconnect_timeout_s", 60.0
"""After how long without a head Ray ends a process: its own variable, and what it is by default."""
_SHARE = 0.5
"""Of that, how long a head may be away: what is left is for closing the run and leaving Ray."""
_LOOK_EVERY_S = 1.0
_TIMEOUT_S = 1.0


class RemoteRay:
    """A cluster by its head, at HOST:PORT, and the socket of the node that this process has joined."""

    def __init__(self, head: str, node: Path, patience_s: float | None = None) -> None:
        host, _, port = head.rpartition(":")
        self._head, self._node = (host.strip("[]"), int(port)), node
        limit_s = float(os.environ.get(_PATIENCE_VARIABLE, _PATIENCE_S))
        self._patience_s = _SHARE * limit_s if patience_s is None else patience_s
        self._next_s = 0.0
        self._silent_since_s: float | None = None

    def check(self) -> None:
        """Raise ClusterLostError if the head has been away for too long; looks at most once a second."""
        if time.monotonic() >= self._next_s:
            self._is_there()

    def wait(self) -> None:
        """Return as soon as the head answers. Raises ClusterLostError if it stays away, or the node is gone."""
        if not _listens(socket.AF_UNIX, str(self._node)):
            raise self._lost("the node that this process had joined is gone")
        while not self._is_there():
            time.sleep(_LOOK_EVERY_S)

    def _is_there(self) -> bool:
        there = _listens(socket.AF_INET6 if ":" in self._head[0] else socket.AF_INET, self._head)
        now_s = time.monotonic()
        self._next_s = now_s + _LOOK_EVERY_S
        if there:
            self._silent_since_s = None
            return True
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        if now_s - self._silent_since_s > self._patience_s:
            raise self._lost(f"nobody has answered there for {self._patience_s:g} s")
        return False

    def _lost(self, how: str) -> ClusterLostError:
        return ClusterLostError(
            f"the Ray cluster at {self._head[0]}:{self._head[1]} was lost: {how}; once it is back, `drivetrain resume` "
            "with the id of this run goes on from the last checkpoint"
        )


def _listens(family: socket.AddressFamily, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT_S)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
