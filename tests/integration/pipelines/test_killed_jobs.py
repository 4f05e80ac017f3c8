"""Jobs whose workers, or driver, are killed at random steps: one run without gap or double, and the same weights.

Their rows stay in memory, or stream from disk.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from pipelines.pipeline import Outcome, resume_pipeline, run_pipeline
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec
from pipelines.tracking import RESTARTS_TAG
from tests.integration.cli.commands import processes_of, running
from tests.integration.pipelines.cluster import is_idle
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.killing import AFTER_CHECKPOINT, BEFORE_CHECKPOINT, Killer, newest
from tests.integration.pipelines.processes import kill
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]

OF_THE_CLOCK = {"epoch_seconds", "rows_per_second"}
RESIDENT = {"source": "synthetic", "rows": 20_000, "features": 500, "classes": 3}


def long_epochs(retries: int, **sections: Any) -> TrainingSpec:  # noqa: ANN401 - whatever a section takes
    """Epochs of several slabs, after each of which a checkpoint may be taken; nothing of the state is without use."""
    training = {
        "batch_size": 4,
        "early_stopping": {"patience": 50},
        "retries": retries,
        "checkpoints": {"every_minutes": 0},
    }
    return small(
        data=sections.pop("data", RESIDENT),
        model={"family": "mlp", "hidden": [16], "norm": "layer", "dropout": 0.2},
        optimizer={"name": "adam", "learning_rate": 0.003},
        schedule={"name": "cosine", "warmup_epochs": 1.5},
        training=training | sections.pop("training"),
        **sections,
    )


def streamed_epochs(folder: Path, retries: int, epochs: int) -> TrainingSpec:
    """Such epochs of rows that come from two shards."""
    features = np.random.default_rng(0).standard_normal((30_000, 500), dtype=np.float32)
    table = pd.DataFrame(features, columns=[f"x{column}" for column in range(500)])
    table.assign(target=features[:, :3].argmax(axis=1)).to_parquet(folder / "rows.parquet", index=False)
    data = {"source": "parquet", "path": str(folder / "rows.parquet"), "memory": "stream"}
    return long_epochs(retries, data=data, training={"epochs": epochs, "batch_size": 8})


def shards_of(home: Home) -> Mapping[str, tuple[int, int]]:
    """Which files the shards of a job are, and when they were written."""
    files = {file.name: file.stat() for file in home.directory.glob("checkpoints/*/*-rows/*")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files.items()}


def weights(home: Home, outcome: Outcome) -> Mapping[str, bytes]:
    folder = Path(home.client.get_model_version_download_uri(MODEL, outcome.version).removeprefix("file://"))
    return {name: array.tobytes() for name, array in load_file(folder / "weights.safetensors").items()}


def metrics(home: Home, outcome: Outcome) -> Mapping[str, list[tuple[int, float]]]:
    names = home.client.get_run(outcome.run_id).data.metrics.keys() - OF_THE_CLOCK
    history = home.client.get_metric_history
    return {
        name: [(entry.step, entry.value) for entry in history(outcome.run_id, name)]
        for name in names
        if not name.startswith("system/")
    }


def assert_same(home: Home, disturbed: Outcome, spec: TrainingSpec) -> None:
    """As the undisturbed job of the spec comes out."""
    undisturbed = run_pipeline(spec, Recorder())
    assert [run.info.run_id for run in home.runs()] == [disturbed.run_id, undisturbed.run_id]
    assert weights(home, disturbed) == weights(home, undisturbed)
    assert metrics(home, disturbed) == metrics(home, undisturbed)
    epochs = list(range(1, spec.training.epochs + 1))
    assert [step for step, _ in metrics(home, disturbed)["train_loss"]] == epochs
    times = home.client.get_metric_history(disturbed.run_id, "epoch_seconds")
    assert [entry.step for entry in times] == epochs
    eventually(is_idle)


def test_a_worker_killed_at_ten_random_steps(home: Home) -> None:
    spec, watcher = long_epochs(10, training={"epochs": 8}), Recorder()
    with Killer("ray::Worker", home.directory, [BEFORE_CHECKPOINT, AFTER_CHECKPOINT] * 5) as killer:
        disturbed = run_pipeline(spec, watcher)
    assert len(killer.left) == 10
    assert any(moment is not None and moment.updates for moment in killer.left)
    assert len(watcher.warnings) == 10
    assert watcher.warnings[-1].endswith("retries left: 0")
    assert home.client.get_run(disturbed.run_id).data.tags[RESTARTS_TAG] == "10"
    assert_same(home, disturbed, spec)


def test_a_worker_killed_while_rows_stream(home: Home, tmp_path: Path) -> None:
    spec, watcher = streamed_epochs(tmp_path, 2, epochs=6), Recorder()
    with Killer("ray::Worker", home.directory, [AFTER_CHECKPOINT] * 2) as killer:
        disturbed = run_pipeline(spec, watcher)
    assert len(killer.left) == 2
    assert any(moment is not None and moment.updates for moment in killer.left)
    assert_same(home, disturbed, spec)


def test_a_killed_driver_leaves_shards_that_the_next_one_finds(home: Home, tmp_path: Path) -> None:
    spec, file, seen = streamed_epochs(tmp_path, 0, epochs=2), tmp_path / "spec.yaml", []
    file.write_text(dump_spec(spec))
    with running("train", str(file), home=tmp_path) as job:
        eventually(lambda: newest(tmp_path) is not None or job.popen.poll() is not None)
        kill(job.popen.pid)
        job.popen.wait(30)
    written, (run,) = shards_of(home), home.runs()
    assert len(written) == 3, job.printed()  # and what says that they are whole
    eventually(lambda: not any("ray::Worker" in command for command in processes_of(tmp_path).values()))
    watcher = Recorder(on_epoch=lambda _: seen.append(shards_of(home)))
    resumed = resume_pipeline(run.info.run_id, spec, watcher)
    assert seen == [written] * 2
    assert_same(home, resumed, spec)
