"""A local Ray is missed as soon as one of its own processes has ended; programs of the same names stand for them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import ClusterLostError
from pipelines.training.local_ray import LocalRay


@pytest.fixture
def raylet(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.copy(str(shutil.which("sleep")), tmp_path / "raylet")
    with subprocess.Popen([program, "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("reaped", [True, False])
def test_a_local_ray_is_missed(reaped: bool, raylet: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = LocalRay()
    ray.check()
    raylet.kill()
    if reaped:
        raylet.wait()
    else:
        os.waitid(os.P_PID, raylet.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(ClusterLostError, match="the local Ray was lost"):
        ray.check()


def test_a_cluster_may_come_back(raylet: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    ray = LocalRay()
    raylet.kill()
    raylet.wait()
    ray.check()
