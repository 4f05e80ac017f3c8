"""`doctor` on a bare machine, on wrong addresses, on a real MLflow server, and on servers that refuse."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from services.cli.checks.cluster import ray_cluster
from services.cli.checks.finding import Finding
from services.cli.checks.services import prediction_service
from services.cli.checks.tracking import tracking
from tests.integration.cli.commands import SERVERS, drivetrain
from tests.integration.cli.faulty_service import FaultyService, listening
from tests.integration.pipelines.ports import answers, free_port
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*SERVERS, "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"):
        monkeypatch.setenv(variable, "")  # the check sets some of them, and this puts them back
        monkeypatch.delenv(variable)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))


def test_a_machine_without_services_is_in_order(tmp_path: Path) -> None:
    result = drivetrain("doctor", home=tmp_path, DRIVETRAIN_TOKEN_FILE="")
    lines = result.stdout.splitlines()
    assert result.returncode == 0, result.stdout
    assert {line.split()[0] for line in lines} <= {"ok", "absent"}
    assert [line.split("  ")[1].strip() for line in lines if line.startswith("absent")] == [
        "training service",
        "prediction service",
    ]
    assert "(only needed for train --remote, jobs, watch, cancel, resume and upload)" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_what_is_named_and_away_is_told_with_what_to_do(tmp_path: Path) -> None:
    port = free_port()
    result = drivetrain(
        *("doctor", "--output", "json"),
        home=tmp_path,
        MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}",
        RAY_ADDRESS=f"127.0.0.1:{port}",
        DRIVETRAIN_TRAINING_ADDRESS=f"127.0.0.1:{port}",
        DRIVETRAIN_PREDICTION_ADDRESS="http://127.0.0.1",
    )
    assert result.returncode == 1
    failed = [each for each in json.loads(result.stdout) if each["state"] == "failed"]
    assert [each["name"] for each in failed] == ["MLflow", "Ray", "training service", "prediction service"]
    assert all(each["advice"] for each in failed)
    assert failed[3]["detail"] == "address of the prediction service: expected HOST:PORT, came 'http://127.0.0.1'"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Port of an MLflow server that wants to be called localhost."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--allowed-hosts", f"localhost:{port}"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield str(port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow
def test_an_mlflow_server_is_asked_to_write_and_nothing_stays(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://localhost:{server}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (found,) = tracking()
    assert (found.state, found.advice) == ("ok", ""), found
    assert found.detail.endswith(f" at {uri}, may write")
    assert list(MlflowClient(uri, uri).search_registered_models()) == []

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server}")
    (refused,) = tracking()
    assert refused.state == "failed"
    assert "refuses the name it is called by" in refused.detail
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in refused.advice


@contextmanager
def web_server(status: int, text: str, version: str) -> Iterator[str]:
    """Address of a server that tells a version and refuses everything else."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, version) if self.path == "/version" else self._answer(status, text)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(status, text)

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "text", "version", "detail", "advice"),
    [
        (401, "You are not authenticated", "3.17.2", "does not know the credentials", "set MLFLOW_TRACKING_USERNAME"),
        (403, "Permission denied", "3.17.2", "does not allow to write: ", "ask for the right"),
        (500, "broken", "3.17.2", "answers HTTP 500: ", "see whether this is an MLflow server"),
        (500, "", "2.22.0", "expected MLflow 3.x, at least 3.15, came 2.22.0", "install the same version"),
        (500, "", "<html>hello", "expected the version of an MLflow server, came '<html>hello'", "install the same"),
    ],
)
def test_a_refusal_of_mlflow_is_told_with_what_to_do(
    status: int, text: str, version: str, detail: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(status, text, version) as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        (found,) = tracking()
    assert found.state == "failed"
    assert detail in found.detail
    assert found.advice.startswith(advice)


def test_a_tracking_uri_that_mlflow_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://here")
    (found,) = tracking()
    assert (found.state, found.detail[:33]) == ("failed", "MLFLOW_TRACKING_URI: expected a U")


def test_another_service_at_the_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(FaultyService()) as address:
        monkeypatch.setenv("DRIVETRAIN_PREDICTION_ADDRESS", address)
        found = prediction_service()
    told = f"what listens at {address} is no prediction service, or one too old for this"
    advice = "see whether DRIVETRAIN_PREDICTION_ADDRESS is right, and the service's log"
    assert found == [Finding("prediction service", "failed", told, advice)]


@pytest.mark.slow
def test_what_listens_at_ray_address_and_is_no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(404, "", "") as uri:
        monkeypatch.setenv("RAY_ADDRESS", uri.removeprefix("http://"))
        (found,) = ray_cluster()
    assert found.state == "failed"
    assert found.advice
