"""Bounds what unfinished messages may take of memory on the native transport, which has no limit of its own.

The front gathers a message before it hands it over, however long it gets. So the guard looks at the process's memory:
has it grown by more than the limit, the connections that sent most of it are cut. Nobody else notices anything.
Linux only: elsewhere there is no /proc to look at, and the guard says so.
"""

import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

TICK_S = 0.05
FLOOR_TICKS = 2400
"""Memory is compared with its least in this and the previous two minutes."""
TCP_INFO, BYTES_RECEIVED_AT = 11, 128
"""Of `struct tcp_info` in Linux's headers: the socket option, and where tcpi_bytes_received (u64) stands in it."""

Received = Mapping[int, int]
"""Bytes that have arrived, by the file descriptor of the connection."""


class FloodGuard:
    """Watches one port from `start` to `stop`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._marks: Received | None = None
        self._stopped = threading.Event()
        self.num_cut = 0

    def start(self, port: int) -> None:
        """Begin to watch the connections to `port`."""
        if not Path("/proc/self/statm").exists():
            logger.warning("no /proc here: nothing bounds what unfinished messages take of memory")
            return
        threading.Thread(target=self._watch, args=(port,), name="flood-guard", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self, port: int) -> None:
        floor = Floor()
        while not self._stopped.wait(TICK_S):
            grown_bytes = floor.rise(resident_bytes())
            if grown_bytes < self._max_bytes / 2:
                self._marks = None
            elif self._marks is None:
                self._marks = received_bytes(port)
            elif grown_bytes > self._max_bytes:
                self._cut(port, self._marks)

    def _cut(self, port: int, marks: Received) -> None:
        for descriptor in culprits(marks, received_bytes(port), self._max_bytes / 4):
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                logger.warning(
                    "cut the connection from %s: its messages took too much memory", connection.getpeername()
                )
                connection.shutdown(socket.SHUT_RDWR)
                self.num_cut += 1
        self._marks = None


class Floor:
    """The least memory of the recent past, to tell growth from what models need."""

    def __init__(self) -> None:
        self._before = self._least = sys.maxsize
        self._ticks = 0

    def rise(self, memory_bytes: int) -> int:
        """How far this is above the floor."""
        self._ticks += 1
        if self._ticks % FLOOR_TICKS == 0:
            self._before, self._least = self._least, sys.maxsize
        self._least = min(self._least, memory_bytes)
        return memory_bytes - min(self._before, self._least)


def culprits(before: Received, now: Received, allowed_bytes: float) -> list[int]:
    """The connections to cut, greatest first, so that the others together have sent no more than is allowed."""
    sent = {connection: now[connection] - before.get(connection, 0) for connection in now}
    excess, found = sum(sent.values()) - allowed_bytes, []
    for connection in sorted(sent, key=lambda each: -sent[each]):
        if excess <= 0:
            break
        found.append(connection)
        excess -= sent[connection]
    return found


def resident_bytes(process: int | str = "self") -> int:
    """Memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def received_bytes(port: int) -> Received:
    """What has arrived on each connection to `port`."""
    received = {}
    for descriptor in _sockets():
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            connection.getpeername()  # a listening socket has none
            if connection.getsockname()[1:2] == (port,):
                info = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
                received[descriptor] = struct.unpack_from("=Q", info, BYTES_RECEIVED_AT)[0]
    return received


def _sockets() -> Iterator[int]:
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(path.readlink()).startswith("socket:"):
                yield int(path.name)
