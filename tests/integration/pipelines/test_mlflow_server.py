"""The same jobs against a real MLflow server, artifacts through its proxy."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.pipeline import run_pipeline
from tests.integration.pipelines.jobs import BARELY, MODEL, Home, Recorder, small
from tests.integration.pipelines.ports import answers, free_port
from tests.waiting import eventually


@pytest.fixture
def server(tmp_path: Path, template: Home) -> Iterator[str]:
    """Address of a server that keeps everything in a folder of its own."""
    store = tmp_path / "server"
    store.mkdir()
    template.copy_to(store)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}", "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", str(store / "artifacts")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        eventually(lambda: answers(f"{address}/health"))
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_jobs_publish_promote_and_fetch_through_a_server(
    server: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    outcome = run_pipeline(small(), Recorder())
    assert (outcome.version, outcome.decision.promote) == ("1", True)
    (run,) = home.runs()
    assert (run.info.run_id, run.info.status) == (outcome.run_id, "FINISHED")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    (tmp_path / "fetched").mkdir()
    package = home.registry.fetch(MODEL, "1", tmp_path / "fetched")
    assert package.manifest.run_id == outcome.run_id
    assert len(package.golden.inputs["features"]) == 32

    worse = run_pipeline(small(**BARELY, registry={"promote": "always"}), Recorder())
    assert worse.validation.score.value < outcome.validation.score.value
    assert worse.decision.reason == "registry.promote is always"
    assert home.registry.champions() == {MODEL: "2"}
    assert home.registry.rollback(MODEL) == ("2", "1")
    assert not (home.directory / "artifacts").exists()
