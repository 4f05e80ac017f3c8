"""A Ray cluster of one node as a process of its own, with its dashboard: what the training service talks to."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.integration.cli.commands import ROOT, processes_of
from tests.integration.pipelines.ports import free_port
from tests.waiting import PATIENCE_S


@dataclass
class RayHead:
    """A running head. Its drivers and workers have `home` as their DRIVETRAIN_HOME."""

    home: Path
    address: str
    """What RAY_ADDRESS is to be."""
    dashboard: str
    command: list[str]
    environment: Mapping[str, str]
    popen: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End every process of the cluster at once, drivers and workers among them."""
        for _ in range(10):
            pids = processes_of(self.home)
            for pid in pids:
                if pid != os.getpid():
                    _kill(pid)
            if not pids:
                break
            time.sleep(0.1)
        self.popen.wait(30)

    def restart(self) -> None:
        """A new cluster on the same ports, which knows nothing of the old one."""
        self.popen = _start(self.command, self.environment, self.home)
        self.wait()

    def wait(self) -> None:
        """Return when the dashboard lists the node."""
        until = time.monotonic() + PATIENCE_S
        while not _has_node(self.dashboard):
            assert self.popen.poll() is None, (self.home / "ray-head.log").read_text()
            assert time.monotonic() < until, "the head does not answer"
            time.sleep(0.2)


@contextmanager
def ray_head(home: Path, cpus: int = 2, **resources: int) -> Iterator[RayHead]:
    """A head with so many CPUs; it and all that it started end with the block.

    It has Ray's folder for itself: in a folder that two heads share Ray notes the address of the one that started last,
    and the drivers of both would look for their cluster there. The folder's name is short, as those of sockets must be.
    """
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        head = _head(home, cpus, resources, folder)
        try:
            head.wait()
            yield head
        finally:
            head.kill()


def _head(home: Path, cpus: int, resources: Mapping[str, int], folder: str) -> RayHead:
    gcs, dashboard, agent, client, metrics = (free_port() for _ in range(5))
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"]
    command += [f"--port={gcs}", f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=200000000"]
    command += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}", "--node-ip-address=127.0.0.1"]
    command += ["--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={folder}"]
    if resources:
        command += ["--resources=" + json.dumps(resources)]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))},
        "DRIVETRAIN_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",
    }
    popen = _start(command, environment, home)
    return RayHead(home, f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", command, environment, popen)


def _start(command: list[str], environment: Mapping[str, str], home: Path) -> subprocess.Popen[bytes]:
    with (home / "ray-head.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _has_node(dashboard: str) -> bool:
    try:
        answer = requests.get(f"{dashboard}/api/v0/nodes", timeout=5)
        return answer.ok and bool(answer.json()["data"]["result"]["result"])
    except (requests.RequestException, KeyError, TypeError, ValueError):
        return False


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
