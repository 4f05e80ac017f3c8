import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from services.prediction import flood_guard
from services.prediction.flood_guard import Connection, FloodGuard, culprits, received_bytes, unfinished_bytes

MIB = 2**20
A, B, C, D = (Connection(number, f"ipv4:10.0.0.{number}:4711") for number in range(1, 5))


def test_those_who_sent_most_are_cut_until_the_rest_is_allowed() -> None:
    assert culprits({A: 10, B: 70, C: 5}, allowed_bytes=20) == [B]
    assert culprits({A: 40, B: 70, C: 5}, allowed_bytes=20) == [B, A]
    assert culprits({A: 10}, allowed_bytes=20) == []
    assert culprits({}, allowed_bytes=20) == []


def test_whole_messages_are_not_counted() -> None:
    now = {A: 510, B: 70, C: 5}
    unfinished = unfinished_bytes({A: 500, D: 10**9}, now, {B.peer: 60, C.peer: 10**9})
    assert unfinished == {A: 10, B: 10, C: 0}, "nobody has sent less than nothing"


def test_the_kernel_says_what_has_arrived_on_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as other:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, socket.create_connection(other.getsockname()):
            server, _ = listening.accept()
            with server:
                client.sendall(b"x" * 12345)
                assert len(server.recv(12345, socket.MSG_WAITALL)) == 12345
                peer = f"ipv4:127.0.0.1:{client.getsockname()[1]}"
                assert received_bytes(port) == {Connection(server.fileno(), peer): 12345}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator["Watched"]:
    monkeypatch.setattr(flood_guard, "QUIET_TICKS", 40)  # also a busy machine sends a MiB within so many
    memory = Memory()  # the tests' own process grows and shrinks with whatever ran before
    monkeypatch.setattr(flood_guard, "resident_bytes", memory.resident_bytes)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
        listening.accept()[0] as server,
    ):
        guard = FloodGuard(16 * MIB)
        guard.start(listening.getsockname()[1])
        memory.wait_until_seen()  # the floor is what there is now
        yield Watched(guard, memory, client, server)
        guard.stop()


@pytest.mark.parametrize("whole", [True, False], ids=["whole messages", "an endless one"])
def test_while_memory_grows_only_those_are_cut_who_finish_nothing(whole: bool, watched: "Watched") -> None:
    watched.grow_to(12 * MIB)
    assert watched.guard.alarmed
    for _ in range(12):
        watched.send(MIB // 2, whole=whole)
    watched.grow_to(24 * MIB)
    assert (watched.guard.num_cut == 0) is whole


def test_who_takes_long_to_fill_the_memory_is_cut_too(watched: "Watched") -> None:
    watched.grow_to(9 * MIB)
    for grown_mib in range(10, 17):
        watched.send(MIB, whole=False)
        watched.grow_to(grown_mib * MIB)
        assert watched.guard.alarmed, "this is no time to forget what the memory was"
    assert watched.guard.num_cut == 0
    watched.grow_to(17 * MIB)
    assert watched.guard.num_cut > 0


@pytest.mark.parametrize("grown_mib", [12, 24])
def test_growth_that_no_client_explains_is_no_growth_any_more(grown_mib: int, watched: "Watched") -> None:
    watched.grow_to(grown_mib * MIB)
    assert watched.guard.alarmed
    eventually(lambda: not watched.guard.alarmed)
    watched.grow_to((grown_mib + 7) * MIB)
    assert not watched.guard.alarmed
    watched.grow_to((grown_mib + 9) * MIB)
    assert watched.guard.alarmed


@dataclass
class Watched:
    """A connection under guard: what its client sends, the server has taken."""

    guard: FloodGuard
    memory: "Memory"
    client: socket.socket
    server: socket.socket

    def send(self, size_bytes: int, *, whole: bool) -> None:
        self.client.sendall(bytes(size_bytes))
        self.server.recv(size_bytes, socket.MSG_WAITALL)
        if whole:
            self.guard.handed_over(f"ipv4:127.0.0.1:{self.client.getsockname()[1]}", size_bytes, ())

    def grow_to(self, grown_bytes: int) -> None:
        """Until the guard has acted on it."""
        self.memory.grown_bytes = grown_bytes
        self.memory.wait_until_seen()
        self.memory.wait_until_seen()


class Memory:
    """What the kernel says of a process that takes `grown_bytes` more than at its start."""

    def __init__(self) -> None:
        self.grown_bytes = 0
        self._num_looks = 0

    def resident_bytes(self) -> int:
        self._num_looks += 1
        return 100 * MIB + self.grown_bytes

    def wait_until_seen(self) -> None:
        """One whole look at the present memory."""
        seen = self._num_looks
        eventually(lambda: self._num_looks > seen + 1)


def eventually(condition: Callable[[], bool], within_s: float = 60) -> None:
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(flood_guard.TICK_S)
