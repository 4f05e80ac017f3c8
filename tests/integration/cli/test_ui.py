"""`ui`: MLflow's own UI, for as long as the command runs."""

import signal
import socket
from pathlib import Path

import pytest

from tests.integration.cli.commands import drivetrain, processes_of, running
from tests.integration.pipelines.ports import answers, free_port
from tests.waiting import eventually


@pytest.mark.slow
def test_the_ui_answers_until_it_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    with running("ui", "--port", str(port), home=tmp_path) as command:
        command.wait_for(f"the MLflow UI will be at http://127.0.0.1:{port} (Ctrl-C ends it)")
        eventually(lambda: answers(f"http://127.0.0.1:{port}/"))
        command.popen.send_signal(signal.SIGTERM)
        assert command.popen.wait(30) == 0
        noise = ("Traceback", "Warning", "Registry store URI", "INFO:")
        assert [word for word in noise if word in command.printed()] == []
        eventually(lambda: processes_of(tmp_path) == {})


def test_a_servers_own_ui_is_named(tmp_path: Path) -> None:
    result = drivetrain("ui", home=tmp_path, MLFLOW_TRACKING_URI="http://mlflow.example:5000")
    assert (result.returncode, result.stdout) == (0, "the MLflow UI is at http://mlflow.example:5000\n")


def test_a_taken_port_exits_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = drivetrain("ui", "--port", str(port), home=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: --port: expected a free port on 127.0.0.1, came {port}")
