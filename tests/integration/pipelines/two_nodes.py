"""A job on a cluster of two nodes with one CPU each, both on this machine, in a process of its own.

    python -m tests.integration.pipelines.two_nodes FOLDER RESULT

The job has a worker on each node. It runs undisturbed, and again while the second node is lost and another one comes.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from pipelines.data.loading import load_dataset
from pipelines.training.launcher import launch, ray_session
from pipelines.training.loop import EpochReport
from pipelines.training.worker import Job, Trained, make_job
from tests.integration.pipelines.jobs import small
from tests.waiting import eventually

DATA = {"source": "synthetic", "rows": 3000, "features": 4, "classes": 3}
EPOCHS = 60


def job_in(folder: Path) -> Job:
    """Two workers, which take turns of a second or more between checkpoints."""
    spec = small(data=DATA, training={"epochs": EPOCHS}, compute={"workers": 2})
    return make_job(spec, load_dataset(spec), folder)


def carried_out(job: Job, retries: int, on_epoch: Callable[[EpochReport], None]) -> dict[str, Any]:
    """Training losses by epoch, and the weights in hexadecimal digits."""
    losses: list[float] = []
    for event in launch(job, retries):
        if isinstance(event, Trained):
            return {"losses": losses, "weights": [weight.tobytes().hex() for weight in event.weights.values()]}
        if isinstance(event, EpochReport):
            losses.append(event.train.loss)
            on_epoch(event)
    raise AssertionError("no weights came")


def main(folder: str, result: str) -> None:
    """Write what both jobs came to, and how many CPUs were free while the first one ran."""
    home = Path(folder)
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as short:
        cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "temp_dir": short, "include_dashboard": False}
        )
        second = cluster.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = str(cluster.address)
        try:
            with ray_session():
                told["nodes"] = sum(node["Alive"] for node in _ray.nodes())
                told["undisturbed"] = carried_out(job_in(home / "undisturbed"), 0, both_nodes_work)

                def lose_node(report: EpochReport) -> None:
                    if "lost_after" not in told and list((home / "disturbed").rglob("*.pt")):
                        told["lost_after"] = report.epoch
                        cluster.remove_node(second, allow_graceful=False)
                        cluster.add_node(num_cpus=1)

                told["disturbed"] = carried_out(job_in(home / "disturbed"), 3, lose_node)
        finally:
            cluster.shutdown()
    Path(result).write_text(json.dumps(told))


_ray: Any = ray  # these functions of Ray's have no annotations


def both_nodes_work(report: EpochReport) -> None:
    """Neither node has its CPU left, so each has a worker."""
    if report.epoch == 1:
        eventually(lambda: _ray.available_resources().get("CPU", 0) == 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
