"""Bounds what unfinished messages may take of memory on the native transport, which has no limit of its own.

The front gathers a message before it hands it over, however long it gets. So the guard looks at the process's memory:
has it grown by more than the limit, the connections are cut that sent most of what was not handed over. Who sends whole
messages is safe, however many; so is everybody while memory grows for another reason, such as a model that is loaded:
growth that no client explains for a while is no growth any more. It may be as slow as it likes until then.
Linux only: elsewhere there is no /proc to look at, and the guard says so.
"""

import logging
import os
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

TICK_S = 0.05
QUIET_TICKS = 4800
"""Four minutes: so long after an alarm, or the last connection that was cut, somebody must still explain the growth."""
TCP_INFO, BYTES_RECEIVED_AT = 11, 128
"""Of `struct tcp_info` in Linux's headers: the socket option, and where tcpi_bytes_received (u64) stands in it."""

HEADERS_BYTES = 256
"""What a whole message may have taken on the wire beside itself and its metadata."""
ENTRY_BYTES = 32
"""What an entry of the metadata may take beside its text; as HPACK (RFC 7541, 4.1) counts it."""

Metadata = Sequence[tuple[str, str | bytes]]


class Connection(NamedTuple):
    """A connection of this process: its file descriptor, and the other end as the front writes it."""

    descriptor: int
    peer: str


Received = Mapping[Connection, int]
"""Bytes that have arrived."""


class FloodGuard:
    """Watches one port from `start` to `stop`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._marks: Received = {}
        self._whole: Counter[str] = Counter()
        self._stopped = threading.Event()
        self.alarmed = False
        """Memory has grown: `handed_over` must be told each message from now on."""
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

    def handed_over(self, peer: str, size_bytes: int, metadata: Metadata) -> None:
        """A whole message of this client has left the front; called by one thread."""
        metadata_bytes = sum([len(name) + len(value) + ENTRY_BYTES for name, value in metadata])
        self._whole[peer] += size_bytes + metadata_bytes + HEADERS_BYTES

    def _watch(self, port: int) -> None:
        floor_bytes, quiet_ticks = sys.maxsize, 0
        while not self._stopped.wait(TICK_S):
            memory_bytes = resident_bytes()
            floor_bytes = min(floor_bytes, memory_bytes)
            grown_bytes = memory_bytes - floor_bytes
            quiet_ticks += 1
            if grown_bytes < self._max_bytes / 2:
                self.alarmed = False
            elif not self.alarmed:
                self._raise_alarm(port)
                quiet_ticks = 0
            elif grown_bytes > self._max_bytes and self._cut(port):
                quiet_ticks = 0
            elif quiet_ticks >= QUIET_TICKS:
                quiet_ticks = 0
                if sum(self._unfinished_bytes(port).values()) <= self._max_bytes / 64:
                    floor_bytes = memory_bytes

    def _raise_alarm(self, port: int) -> None:
        self._whole = Counter()
        self.alarmed = True
        self._marks = received_bytes(port)

    def _cut(self, port: int) -> bool:
        """Whether there was anybody to cut."""
        found = culprits(self._unfinished_bytes(port), self._max_bytes / 4)
        for descriptor, peer in found:
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
                logger.warning("cut the connection from %s: its messages took too much memory", peer)
                connection.shutdown(socket.SHUT_RDWR)
                self.num_cut += 1
        return bool(found)

    def _unfinished_bytes(self, port: int) -> dict[Connection, int]:
        return unfinished_bytes(self._marks, received_bytes(port), self._whole)


def unfinished_bytes(before: Received, now: Received, whole: Mapping[str, int]) -> dict[Connection, int]:
    """What has arrived since, less what was handed over since as whole messages."""
    return {each: max(now[each] - before.get(each, 0) - whole.get(each.peer, 0), 0) for each in now}


def culprits(unfinished: Mapping[Connection, int], allowed_bytes: float) -> list[Connection]:
    """The connections to cut, greatest first, so that the others together hold no more than is allowed."""
    excess, found = sum(unfinished.values()) - allowed_bytes, []
    for connection in sorted(unfinished, key=lambda each: -unfinished[each]):
        if excess <= 0:
            break
        found.append(connection)
        excess -= unfinished[connection]
    return found


def resident_bytes(process: int | str = "self") -> int:
    """Memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def received_bytes(port: int) -> Received:
    """What has arrived on each connection to `port`."""
    received = {}
    for descriptor in _sockets():
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
            peer = connection.getpeername()  # a listening socket has none
            if connection.getsockname()[1:2] == (port,):
                info = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 256)
                received[Connection(descriptor, _name(peer))] = struct.unpack_from("=Q", info, BYTES_RECEIVED_AT)[0]
    return received


def _name(peer: tuple[str | int, ...]) -> str:
    """As gRPC writes it: `ipv4:10.0.0.7:4711`, `ipv6:[::1]:4711`."""
    host, port = peer[:2]
    return f"ipv6:[{host}]:{port}" if ":" in str(host) else f"ipv4:{host}:{port}"


def _sockets() -> Iterator[int]:
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(path.readlink()).startswith("socket:"):
                yield int(path.name)
