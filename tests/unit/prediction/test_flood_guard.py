import socket
import time
from collections.abc import Callable

import pytest

from services.prediction import flood_guard
from services.prediction.flood_guard import Connection, FloodGuard, Floor, culprits, received_bytes, unfinished_bytes

MIB = 2**20
A, B, C, D = (Connection(number, f"ipv4:10.0.0.{number}:4711") for number in range(1, 5))


def test_those_who_sent_most_are_cut_until_the_rest_is_allowed() -> None:
    assert culprits({A: 10, B: 70, C: 5}, allowed_bytes=20) == [B]
    assert culprits({A: 40, B: 70, C: 5}, allowed_bytes=20) == [B, A]
    assert culprits({A: 10}, allowed_bytes=20) == []
    assert culprits({A: 30, B: -(10**9)}, allowed_bytes=20) == [A]
    assert culprits({}, allowed_bytes=20) == []


def test_whole_messages_are_not_counted() -> None:
    now = {A: 510, B: 70, C: 5}
    assert unfinished_bytes({A: 500, D: 10**9}, now, {B.peer: 60}) == {A: 10, B: 10, C: 5}


def test_growth_is_measured_from_the_least_of_the_recent_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood_guard, "FLOOR_TICKS", 3)
    floor = Floor()
    assert [floor.rise(memory) for memory in (10, 25, 15, 20)] == [0, 15, 5, 10]
    assert [floor.rise(memory) for memory in (40, 40, 40, 40, 40)][-1] == 0, "what stays is no growth any more"


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


@pytest.mark.parametrize("whole", [True, False], ids=["whole messages", "an endless one"])
def test_while_memory_grows_only_those_are_cut_who_finish_nothing(whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()  # the tests' own process grows and shrinks with whatever ran before
    monkeypatch.setattr(flood_guard, "resident_bytes", memory.resident_bytes)
    guard = FloodGuard(16 * MIB)
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as client,
    ):
        server, _ = listening.accept()
        with server:
            peer = f"ipv4:127.0.0.1:{client.getsockname()[1]}"
            guard.start(listening.getsockname()[1])
            memory.wait_until_seen()  # the floor is what there is now
            memory.grown_bytes = 12 * MIB
            eventually(lambda: guard.alarmed)
            memory.wait_until_seen()  # the marks are set
            for _ in range(12):
                client.sendall(bytes(MIB // 2))
                server.recv(MIB // 2, socket.MSG_WAITALL)
                if whole:
                    guard.handed_over(peer, MIB // 2)
            memory.grown_bytes = 24 * MIB
            memory.wait_until_seen()
            memory.wait_until_seen()  # and acted upon
            guard.stop()
            assert (guard.num_cut == 0) is whole


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


def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    until_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(flood_guard.TICK_S)
