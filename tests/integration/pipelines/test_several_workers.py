"""Two workers under Ray Train compute what one worker computes."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.data.loading import load_dataset
from pipelines.data.shards import Layout, Shards
from pipelines.errors import TrainingError
from pipelines.pipeline import run_pipeline
from pipelines.tracking import FAILURE_TAG
from pipelines.training.launcher import launch
from pipelines.training.loop import EpochReport
from pipelines.training.worker import make_job
from tests.integration.pipelines.cluster import is_idle
from tests.integration.pipelines.jobs import FOREVER, MODEL, Home, Recorder, small
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]

UNEVEN = {"source": "synthetic", "rows": 1001, "features": 6, "classes": 3}
"""701 of the rows train: two workers cannot have as many each, and the last chunk of 64 holds 61."""


def figures(report: EpochReport) -> list[float]:
    """All of an epoch that does not depend on the clock."""
    accuracies = [part.metrics["accuracy"] for part in (report.train, report.validation)]
    return [report.train.loss, report.validation.loss, report.penalty, *accuracies]


def streamed(folder: Path) -> dict[str, object]:
    """A `data` section of rows that fill more than one shard, of which two workers cannot have as many each."""
    random = np.random.default_rng(0)
    features = random.standard_normal((12_001, 1000), dtype=np.float32)
    table = pd.DataFrame(features, columns=[f"x{column}" for column in range(1000)])
    table.assign(target=features[:, :3].argmax(axis=1)).to_parquet(folder / "rows.parquet")
    return {"source": "parquet", "path": str(folder / "rows.parquet"), "memory": "stream"}


def test_two_workers_give_the_curve_of_one_from_streamed_rows(home: Home, tmp_path: Path) -> None:
    data, curves = streamed(tmp_path), []
    # Few updates: the last bits differ, and grow with each of them.
    optimizer, training = {"name": "sgd", "learning_rate": 0.3}, {"epochs": 4, "batch_size": 1024}
    for workers in (1, 2):
        watcher = Recorder()
        run_pipeline(small(data=data, optimizer=optimizer, training=training, compute={"workers": workers}), watcher)
        curves.append(np.array([figures(report) for report in watcher.reports]))
    assert curves[0][-1, 0] < 0.8 * curves[0][0, 0]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-5)


def test_two_workers_without_the_drivers_disk_are_told_of(home: Home, tmp_path: Path) -> None:
    spec = small(data=UNEVEN, compute={"workers": 2})
    elsewhere = Shards(str(tmp_path / "elsewhere"), "key", (701,), ("",), Layout((6,), "<f4", "<i8"))
    with pytest.raises(TrainingError, match=rf"stream from {tmp_path}/elsewhere, which the worker on .* does not have"):
        list(launch(make_job(spec, load_dataset(spec), shards=elsewhere), 2))
    eventually(is_idle)


def interrupt(report: EpochReport) -> None:
    raise KeyboardInterrupt


def test_two_workers_give_the_curve_of_one_from_an_uneven_split(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    curves = []
    for workers in (1, 2):
        watcher = Recorder()
        spec = small(
            data=UNEVEN,
            optimizer={"name": "gd", "learning_rate": 0.5},
            training={"epochs": 12, "batch_size": 64},
            compute={"workers": workers},
        )
        with caplog.at_level(logging.INFO, "pipelines.training.launcher"):
            run_pipeline(spec, watcher)
        curves.append(np.array([figures(report) for report in watcher.reports]))
    assert curves[0].shape == (12, 5)
    assert curves[0][-1, 0] < 0.8 * curves[0][0, 0]
    np.testing.assert_allclose(curves[1], curves[0], atol=1e-5)
    assert (
        "2 workers share each batch of 64 rows; batch and learning rate 0.5 are what one worker would have"
        in caplog.text
    )

    one, two = home.runs()
    assert {one.info.status, two.info.status} == {"FINISHED"}
    logged = home.client.get_metric_history(two.info.run_id, "train_loss")
    assert [entry.step for entry in logged] == list(range(1, 13))
    assert two.data.metrics["test_loss"] == pytest.approx(one.data.metrics["test_loss"], abs=1e-5)


def test_two_workers_end_with_an_interrupted_job(home: Home) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(small(compute={"workers": 2}, training=FOREVER), Recorder(on_epoch=interrupt))
    (run,) = home.runs()
    assert (run.info.status, run.data.tags[FAILURE_TAG]) == ("KILLED", "interrupted")
    assert MODEL not in home.registry.champions()
    eventually(is_idle)
