"""`drivetrain status` on a real service."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.errors import AwayError
from tests.integration.cli.commands import DRIVETRAIN, Running, environment, running
from tests.integration.cli.conftest import MODEL, invoke
from tests.integration.pipelines.jobs import Home
from tests.integration.pipelines.ports import free_port


@pytest.fixture
def served(trained: Home, tmp_path: Path) -> Iterator[tuple[str, Running]]:
    """Address and process of a service of two versions, of which the second is champion."""
    trained.copy_to(tmp_path)
    port = free_port()
    options = ["--port", str(port), "--metrics-port", "0", "--no-rest"]
    with running("serve", *options, home=tmp_path) as service:
        service.wait_for("ready: 1 models serve")
        yield f"127.0.0.1:{port}", service


def ask(address: str) -> None:
    result = invoke("predict", MODEL, "-", "--address", address, input_text="[[2.0, 2.1]]")
    assert result.exit_code == 0, result.output


def test_one_look_is_a_table_or_json(served: tuple[str, Running]) -> None:
    address, _ = served
    ask(address)
    result = invoke("status", "--address", address, "--once", "--interval", "0.1")
    assert result.exit_code == 0, result.output
    header, row = result.output.splitlines()
    assert header.split()[:4] == ["model", "version", "state", "req/s"]
    assert row.split()[:4] == [MODEL, "2", "READY", "0.0"]
    assert "champion" in row
    line = json.loads(invoke("status", "--address", address, "--once", "--json", "--interval", "0.1").output)
    assert line["address"] == address
    (model,) = line["models"]
    assert (model["model"], model["version"], model["state"]) == (MODEL, "2", "READY")
    assert model["last_inference_ms"] > 0
    assert model["queue_ms"] is None


def test_a_terminal_sees_requests_as_they_come_and_that_the_service_is_lost(served: tuple[str, Running]) -> None:
    address, service = served
    command = [*DRIVETRAIN, "status", "--address", address, "--interval", "0.2"]
    terminal, its_end = pty.openpty()
    shown = subprocess.Popen(command, stdout=its_end, env=environment(service.log.parent, COLUMNS="200", TERM="xterm"))
    os.close(its_end)
    try:
        read_until(terminal, r"READY\s+0\.0")
        ask(address)
        read_until(terminal, r"READY\s+[1-9]")
        service.popen.terminate()
        read_until(terminal, re.escape(f"no prediction service answers at {address}"))
        shown.send_signal(signal.SIGINT)
        assert shown.wait(20) == 130
    finally:
        shown.kill()
        shown.wait()
        os.close(terminal)


def test_without_a_service_it_says_how_to_start_one() -> None:
    result = invoke("status", "--address", f"127.0.0.1:{free_port()}", "--once")
    assert isinstance(result.exception, AwayError)


def read_until(terminal: int, pattern: str, within_s: float = 30) -> None:
    """Return when it has shown the pattern."""
    printed, until_s = b"", time.monotonic() + within_s
    while not re.search(pattern.encode(), re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", printed)):
        assert time.monotonic() < until_s, printed
        if select.select([terminal], [], [], 1)[0]:
            printed += os.read(terminal, 4096)
