"""The running stack as its operator sees it: Compose, containers, their processes, and waiting for them."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[3]

SERVICES = ("postgres", "mlflow", "ray-head", "ray-worker", "training", "prediction")
"""What `make up` starts. The tests start Prometheus as well."""


def run(*command: str, within_s: float = 600, check: bool = True, stdin: str = "") -> str:
    """Run a command in the project and return what it printed; its errors show when it fails."""
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def compose(*arguments: str, within_s: float = 600) -> str:
    """`docker compose` on the stack under test."""
    return run("docker", "compose", *arguments, within_s=within_s)


def script(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One of deploy/compose, as its make target calls it."""
    command = [str(ROOT / "deploy/compose" / name), *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def inside(service: str, *command: str, stdin: str = "") -> str:
    """Run a command in a running container of a service."""
    return run("docker", "compose", "exec", "-T", service, *command, stdin=stdin)


def containers(service: str) -> list[dict[str, Any]]:
    """What `docker inspect` says of a service's containers."""
    names = compose("ps", "--all", "--quiet", service).split()
    return json.loads(run("docker", "inspect", *names)) if names else []


def address(service: str, port: int) -> str:
    """Where a published port is reached from this machine."""
    return compose("port", service, str(port)).strip()


def is_healthy(service: str) -> bool:
    """Whether all containers of a service run and are well."""
    states = [container["State"] for container in containers(service)]
    return bool(states) and all(s["Running"] and s.get("Health", {}).get("Status") == "healthy" for s in states)


def kill(service: str) -> int:
    """`kill -9` the first process of a service's containers, as a crash would; how many.

    `docker kill` would count as the operator's wish, and no restart would follow.
    """
    found = containers(service)
    for container in found:
        pid = container["State"]["Pid"]
        mounts = Path(f"/proc/{pid}/mountinfo")
        is_here = mounts.exists() and container["Id"] in mounts.read_text()
        assert is_here, (
            "the engine runs on another machine, or in a virtual one: its processes cannot be killed from here"
        )
        os.kill(pid, signal.SIGKILL)
    return len(found)


def restarts(service: str) -> int:
    """How often the engine has started the service's containers anew."""
    return sum(container["RestartCount"] for container in containers(service))


def eventually(question: Callable[[], T | None], within_s: float, what: str) -> T:
    """The first true answer; fails if there is none in time."""
    deadline_s = time.monotonic() + within_s
    while not (answer := question()):
        assert time.monotonic() < deadline_s, f"{what}: not within {within_s} s"
        time.sleep(0.5)
    return answer
