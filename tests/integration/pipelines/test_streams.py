"""Tables that stream: scanned by Ray Data, shuffled to disk, trained, exported and told of as resident ones are."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from pipelines.data.loading import load_dataset
from pipelines.data.shards import ShardReader
from pipelines.errors import DataError, NonFiniteError
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import build_network
from pipelines.pipeline import run_pipeline
from pipelines.records import MEMORY_TAG
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.spec.training_spec import TrainingSpec
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.streaming import scanned, shuffled
from tests.unit.pipelines.data.frames import birds, birds_spec


def bird_job(folder: Path, memory: str = "stream") -> TrainingSpec:
    for number in range(3):
        birds(300, seed=number).to_csv(folder / f"birds-{number}.csv", index=False)
    return small(data=birds_spec(folder / "birds-*.csv", memory=memory))


def test_a_streamed_job_is_served_and_told_of(cluster: None, home: Home, tmp_path: Path) -> None:
    spec, recorder = bird_job(tmp_path), Recorder()
    outcome = run_pipeline(spec, recorder)
    dataset = scanned(spec)
    resident = run_pipeline(bird_job(tmp_path, "resident"), Recorder())
    assert outcome.test.metrics["accuracy"] > 0.8
    assert abs(outcome.validation.metrics["log_loss"] - resident.validation.metrics["log_loss"]) < 0.1

    version = Path(home.client.get_model_version_download_uri(MODEL, outcome.version).removeprefix("file://"))
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, seed=1)
    weights = load_file(version / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    expected = predict(build_predictor(network, dataset), dataset.test.features)
    served = onnxruntime.InferenceSession(version / "model.onnx").run(["probabilities"], dict(dataset.test.inputs))
    np.testing.assert_allclose(served[0], expected["probabilities"], atol=1e-5)

    run = home.client.get_run(outcome.run_id)
    assert run.data.tags[MEMORY_TAG].startswith("data streams from disk, as data.memory asks: 9")
    assert any(stage.startswith("data streams from disk") for stage in recorder.stages)
    assert run.inputs is not None
    (given,) = run.inputs.dataset_inputs
    profile = json.loads(str(given.dataset.profile))
    assert profile["train_rows"] == sum(profile["train_classes"].values()) == dataset.num_train
    assert dataset.num_train + len(dataset.validation) + len(dataset.test) == 900
    assert f"{dataset.num_train} training" in (version / "model_card.md").read_text()
    assert not list(home.directory.glob("checkpoints/*/*"))


def sorted_job(folder: Path, rows: int = 6000, memory: str = "stream", **sections: object) -> TrainingSpec:
    """Rows in the order of their four classes, a file each."""
    for label in range(4):
        numbers = np.arange(label * rows // 4, (label + 1) * rows // 4)
        frame = pd.DataFrame({"number": numbers.astype(np.float32), "other": 1.0, "target": label})
        frame.to_parquet(folder / f"{label}.parquet", row_group_size=400)
    return small(data={"source": "parquet", "path": str(folder), "memory": memory, "standardize": False}, **sections)


def test_sorted_rows_are_shuffled_and_none_is_lost(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    spec = sorted_job(tmp_path / "rows")
    dataset = scanned(spec)
    shards = shuffled(spec, dataset, tmp_path / "shards")
    assert len(shards) == dataset.num_train == sum(dataset.class_counts.values())
    assert len(shards.sizes) > 8
    reader, start, numbers = ShardReader(shards), 0, []
    for size in shards.sizes:
        features, targets = reader.take(np.arange(start, start + size))
        numbers += features[:, 0].astype(int).tolist()
        start += size
        counts = np.bincount(targets.astype(int), minlength=4)
        assert counts.min() > size / 4 - 4 * (size * 3 / 16) ** 0.5  # four standard deviations
    held_out = [int(row[0]) for part in (dataset.validation, dataset.test) for row in part.features]
    assert sorted(numbers + held_out) == list(range(6000))
    assert set(numbers) >= {int(row[0]) for row in dataset.train.features}

    written = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "shards").iterdir()}
    assert shuffled(spec, dataset, tmp_path / "shards") == shards  # found, not written again
    assert written == {file.name: file.stat().st_mtime_ns for file in (tmp_path / "shards").iterdir()}
    again = shuffled(spec, scanned(spec), tmp_path / "others")
    assert again.sha256 == shards.sha256


def test_samples_are_bounded_and_uniform(cluster: None, tmp_path: Path) -> None:
    spec = sorted_job(tmp_path)
    dataset = scanned(spec, sample_bytes=8 * 300)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [300] * 3
    assert dataset.digest == scanned(spec).digest
    assert 4000 < dataset.num_train < 4400
    for part in (dataset.train, dataset.validation, dataset.test):
        assert np.bincount(part.targets.astype(int), minlength=4).min() > 45  # four standard deviations below 75


def test_classes_and_scales_are_those_of_resident_rows(cluster: None, tmp_path: Path) -> None:
    spec = bird_job(tmp_path)
    streamed, resident = scanned(spec), load_dataset(bird_job(tmp_path, "resident"))
    assert (streamed.labels, streamed.feature_names) == (resident.labels, resident.feature_names)
    assert [type(column) for column in streamed.encoding.columns] == [type(c) for c in resident.encoding.columns]
    np.testing.assert_allclose(streamed.features.mean, resident.features.mean, rtol=0.05)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("weight", "heavy", "came 'heavy' in row 300 of birds-2.csv"),
        ("kind", None, "a value in every row of column 'kind', came a missing value (NaN) in row 300 of birds-2.csv"),
    ],
)
def test_a_bad_value_at_the_end_is_told_before_a_run_is_opened(
    column: str, value: str | None, message: str, cluster: None, home: Home, tmp_path: Path
) -> None:
    spec = bird_job(tmp_path)
    frame = birds(300).astype({column: object})
    frame.loc[299, column] = value
    frame.to_csv(tmp_path / "birds-2.csv", index=False)
    with pytest.raises(DataError) as caught:
        run_pipeline(spec, Recorder())
    assert message in str(caught.value)
    assert home.runs() == []


def test_files_that_change_meanwhile_are_told_of(cluster: None, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    spec = sorted_job(tmp_path / "rows", rows=400)
    dataset = scanned(spec)
    frame = pd.read_parquet(tmp_path / "rows/3.parquet")
    pd.concat([frame, frame], ignore_index=True).to_parquet(tmp_path / "rows/3.parquet")
    with pytest.raises(
        DataError, match=r"files that stay as they are while a job reads them, came \d+ training rows where"
    ):
        shuffled(spec, dataset, tmp_path / "shards")
    frame.assign(target=9).to_parquet(tmp_path / "rows/3.parquet")
    with pytest.raises(DataError, match="came a new class '9'"):
        shuffled(spec, dataset, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


@pytest.mark.parametrize("memory", ["stream", "resident"])
def test_a_row_that_ends_the_training_is_named(memory: str, cluster: None, home: Home, tmp_path: Path) -> None:
    """By its file and its place there, whether rows stream or stay in memory."""
    (tmp_path / "rows").mkdir()
    spec = sorted_job(tmp_path / "rows", rows=400, memory=memory, training={"epochs": 1, "batch_size": 1})
    dataset = scanned(spec) if memory == "stream" else load_dataset(spec)
    assert dataset.train.ids is not None
    name = dataset.row_names.of(dataset.train.ids)[-1]
    place, file = name.split(" of ")
    frame = pd.read_parquet(tmp_path / "rows" / file)
    frame.loc[int(place) - 1, "number"] = 3e38
    frame.to_parquet(tmp_path / "rows" / file, row_group_size=30)
    with pytest.raises(NonFiniteError, match=rf"with the training rows {name}; try") as caught:
        run_pipeline(spec, Recorder())
    assert caught.value.rows == (name,)


def test_too_few_rows_to_draw_parts_for_are_refused(cluster: None, tmp_path: Path) -> None:
    birds(6).to_csv(tmp_path / "birds.csv", index=False)
    with pytest.raises(DataError, match=r"data\.memory: resident"):
        scanned(small(data=birds_spec(tmp_path / "birds.csv", memory="stream")))
