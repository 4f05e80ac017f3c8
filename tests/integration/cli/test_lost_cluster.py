"""A cluster at RAY_ADDRESS that dies for good while a job trains on it: the job ends, and can be gone on with."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipelines.tracking import FAILURE_TAG
from tests.integration.cli.commands import running
from tests.integration.pipelines.processes import kill, named
from tests.integration.training.ray_head import RayHead, ray_head
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SPEC = ("digits-mlp", "--set", "training.epochs=1000000", "--set", "training.early_stopping=null")


def kill_cluster(head: RayHead) -> None:
    (gcs,), (raylet,) = named("gcs_server", head.popen.pid), named("raylet", head.popen.pid)
    kill(gcs)  # `ray start --block` sees that at once and ends the rest, so both are looked up before
    kill(raylet)


def test_a_cluster_that_dies_for_good_ends_the_job_with_a_reason(tmp_path: Path) -> None:
    cluster, home = tmp_path / "cluster", tmp_path / "home"
    cluster.mkdir()
    home.mkdir()
    with (
        ray_head(cluster) as head,
        running("train", *SPEC, home=home, RAY_ADDRESS=head.address, RAY_AUTH_MODE="disabled") as job,
    ):
        eventually(lambda: any(home.glob("checkpoints/*/*/*.pt")))
        kill_cluster(head)
        code = job.popen.wait(90)
        printed = job.printed()
    (run_id,) = (folder.name for folder in (home / "checkpoints").iterdir())
    assert code == 1, printed
    assert f"what was trained is kept, go on with it: drivetrain resume {run_id}" in printed
    assert "Traceback" not in printed
    run = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags[FAILURE_TAG].startswith("the Ray cluster at ")
    assert "`drivetrain resume`" in run.data.tags[FAILURE_TAG]
