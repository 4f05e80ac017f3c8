"""What a run tells of how its job fared: warnings, and what the machines were busy with."""

import pytest
from mlflow.entities import Run

from pipelines.pipeline import run_pipeline
from pipelines.records import WARNING_TAG
from tests.integration.pipelines.conftest import History
from tests.integration.pipelines.jobs import Home, Job, Recorder, small

pytestmark = pytest.mark.usefixtures("cluster")

SYSTEM = {
    "cpu_utilization_percentage",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
    "process_cpu_utilization_percentage",
    "process_memory_usage_megabytes",
}


def system_metrics(run: Run) -> set[str]:
    return {name for name in run.data.metrics if name.startswith("system/")}


def test_a_warning_is_told_and_stays_in_the_run(home: Home) -> None:
    watcher = Recorder()
    run_pipeline(small(model={"family": "mlp", "hidden": [8] * 12, "activation": "sigmoid"}), watcher)
    (run,) = home.runs()
    (told,) = watcher.warnings
    assert told.startswith("epoch 1: the gradient of the first layer is ")
    assert run.data.tags[f"{WARNING_TAG}vanishing_gradients"] == told


def test_a_healthy_job_is_warned_of_nothing(history: History) -> None:
    job: Job = history.jobs[0]
    assert job.recorder.warnings == []
    run = history.client.get_run(job.outcome.run_id)
    assert not [tag for tag in run.data.tags if tag.startswith(WARNING_TAG)]


def test_a_run_has_the_system_metrics_of_its_worker_under_mlflows_names(history: History) -> None:
    run = history.client.get_run(history.jobs[0].outcome.run_id)
    assert system_metrics(run) == {f"system/{name}" for name in SYSTEM}
    logged = history.client.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert len(logged) >= 2
    assert all(run.info.start_time <= entry.timestamp <= run.info.end_time for entry in logged)
    assert all(entry.step == (entry.timestamp - run.info.start_time) // 1000 for entry in logged)


@pytest.mark.slow
def test_several_workers_are_told_apart(home: Home) -> None:
    run_pipeline(small(compute={"workers": 2}), Recorder())
    (run,) = home.runs()
    assert system_metrics(run) == {f"system/worker_{rank}/{name}" for rank in (0, 1) for name in SYSTEM}
