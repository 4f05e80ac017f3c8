"""A cluster is missed when its head has been away for too long, or the node that was joined; sockets stand for them."""

import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ClusterLostError
from pipelines.training.remote_ray import RemoteRay
from tests.waiting import eventually


@pytest.fixture
def node(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "raylet"))
        listening.listen()
        yield listening


def head_at(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return f"{host}:{port}"


def callers(listening: socket.socket) -> int:
    """How many have called so far."""
    count = 0
    while select.select([listening], [], [], 0)[0]:
        listening.accept()[0].close()
        count += 1
    return count


def is_missed(ray: RemoteRay) -> bool:
    try:
        ray.check()
    except ClusterLostError:
        return True
    return False


def test_a_head_may_be_away_for_a_while_and_no_longer(node: socket.socket, tmp_path: Path) -> None:
    head = head_at()
    ray = RemoteRay(address_of(head), tmp_path / "raylet", patience_s=2.0)
    ray.check()
    port = head.getsockname()[1]
    head.close()
    assert not is_missed(ray)
    with head_at(port):
        ray.wait()
        assert ray._silent_since_s is None
    eventually(lambda: is_missed(ray))
    with pytest.raises(
        ClusterLostError, match=rf"127\.0\.0\.1:{port} was lost: nobody has answered there for 2 s; once"
    ):
        ray.wait()


def test_a_node_that_is_gone_is_missed_at_once(node: socket.socket, tmp_path: Path) -> None:
    with head_at() as head:
        ray = RemoteRay(address_of(head), tmp_path / "raylet")
        ray.wait()
        node.close()
        ray.check()
        with pytest.raises(
            ClusterLostError, match=r"the node that this process had joined is gone; .*drivetrain resume"
        ):
            ray.wait()


def test_who_looks_often_asks_seldom(node: socket.socket, tmp_path: Path) -> None:
    with head_at() as head:
        ray = RemoteRay(address_of(head), tmp_path / "raylet")
        for _ in range(1000):
            ray.check()
        assert 1 <= callers(head) < 50


def test_ray_gives_up_twice_as_late(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert RemoteRay("[::1]:6379", tmp_path)._patience_s == 30
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "300")
    assert RemoteRay("[::1]:6379", tmp_path)._patience_s == 150
