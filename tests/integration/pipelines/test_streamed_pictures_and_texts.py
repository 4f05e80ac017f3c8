"""Pictures and texts that stream: checked, shuffled, trained and served as resident ones are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from pipelines.data.draws import row_ids
from pipelines.data.pictures import read_pictures
from pipelines.data.plans import TRAIN, parts_of
from pipelines.data.shards import ShardReader
from pipelines.errors import DataError
from pipelines.export.graph import build_predictor, predict
from pipelines.models.network import network_of
from pipelines.pipeline import run_pipeline
from pipelines.registry.package import WEIGHTS_FILE
from pipelines.registry.texts import fit_vocabulary
from pipelines.spec.data import ImagesSource, TextSource
from pipelines.spec.training_spec import TrainingSpec
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.integration.pipelines.streaming import scanned, shuffled
from tests.integration.pipelines.test_texts import reviews
from tests.unit.pipelines.data.albums import write_album

MakeJob = Callable[[Path, str], TrainingSpec]
PICTURES, TEXTS = 180, 600


def picture_job(folder: Path, memory: str = "stream") -> TrainingSpec:
    if not (folder / "album").exists():
        write_album(folder / "album", pictures=PICTURES // 3)
    return small(
        data={
            "source": "images",
            "path": str(folder / "album"),
            "size": [8, 8],
            "memory": memory,
            "augment": {"flip": True, "shift": 0.1},
        },
        model={"family": "cnn", "channels": [4, 8], "hidden": [16]},
        training={"epochs": 8},
    )


def text_job(folder: Path, memory: str = "stream") -> TrainingSpec:
    if not (folder / "reviews.parquet").exists():
        reviews(TEXTS).to_parquet(folder / "reviews.parquet", row_group_size=150)
    return small(
        data={
            "source": "text",
            "path": str(folder / "reviews.parquet"),
            "text": "review",
            "target": "liked",
            "memory": memory,
        },
        model={"family": "rnn", "cell": "gru", "hidden_size": 16, "embedding_size": 8},
        regularization={},
        training={"epochs": 8},
    )


@pytest.mark.parametrize(("make", "rows"), [(picture_job, PICTURES), (text_job, TEXTS)], ids=["pictures", "texts"])
def test_a_streamed_job_is_served_and_as_good_as_a_resident_one(
    make: MakeJob, rows: int, cluster: None, home: Home, tmp_path: Path
) -> None:
    spec, recorder = make(tmp_path, "stream"), Recorder()
    outcome = run_pipeline(spec, recorder)
    dataset = scanned(spec)
    resident = run_pipeline(make(tmp_path, "resident"), Recorder())
    assert outcome.test.metrics["accuracy"] > 0.9
    assert abs(outcome.test.metrics["accuracy"] - resident.test.metrics["accuracy"]) < 0.1
    told = f"data streams from disk, as data.memory asks: {rows} rows"
    assert any(stage.startswith(told) for stage in recorder.stages)
    assert dataset.num_train + len(dataset.validation) + len(dataset.test) == rows

    version = Path(home.client.get_model_version_download_uri(MODEL, outcome.version).removeprefix("file://"))
    network = network_of(spec, dataset.row_shape, dataset.num_outputs, dataset.vocabulary)
    weights = load_file(version / WEIGHTS_FILE)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    expected = predict(build_predictor(network, dataset), dataset.test.features)
    graph = onnxruntime.InferenceSession(version / "model.onnx")
    served = graph.run(["probabilities"], dict(dataset.graph_inputs(dataset.test)))
    np.testing.assert_allclose(served[0], expected["probabilities"], atol=1e-5)


def test_every_picture_is_in_one_part_and_training_ones_are_on_disk(cluster: None, tmp_path: Path) -> None:
    spec = picture_job(tmp_path)
    dataset = scanned(spec)
    shards = shuffled(spec, dataset, tmp_path / "shards")
    assert (shards.layout.features_type, len(shards), len(shards.sizes)) == ("|u1", dataset.num_train, 6)
    training, _ = ShardReader(shards).take(np.arange(len(shards)))
    found = [row.astype(np.uint8).tobytes() for row in training]
    found += [row.astype(np.uint8).tobytes() for part in (dataset.validation, dataset.test) for row in part.features]
    assert isinstance(spec.data, ImagesSource)
    assert sorted(found) == sorted(row.astype(np.uint8).tobytes() for row in read_pictures(spec.data).features)


def test_the_vocabulary_is_that_of_all_training_rows(cluster: None, tmp_path: Path) -> None:
    frame = reviews(TEXTS).assign(review=lambda each: each["review"] + [f" word{row}" for row in range(TEXTS)])
    frame.to_parquet(tmp_path / "reviews.parquet", row_group_size=150)
    spec = text_job(tmp_path)
    assert isinstance(spec.data, TextSource)
    dataset = scanned(spec, sample_bytes=1)
    assert len(dataset.train) == 100
    parts = parts_of(row_ids(0, 0, TEXTS), spec.data.split, spec.seed)
    training = frame["review"].to_numpy(object)[parts == TRAIN]
    assert dataset.text is not None
    assert dataset.text.vocabulary == fit_vocabulary(training, 10_000)
    shards = shuffled(spec, dataset, tmp_path / "shards")
    assert (shards.layout.features_type, shards.layout.row_shape) == ("<u2", dataset.row_shape)
    tokens = ShardReader(shards).take(np.arange(len(shards)))[0].astype(np.int64)
    assert len(set(tokens[tokens >= 2].tolist())) == len(dataset.text.vocabulary)
    assert (tokens[:, -1] != 0).any()


def break_picture(folder: Path) -> None:
    (folder / "album" / "leaf" / "30.png").write_bytes(b"not a picture")


def break_text(folder: Path) -> None:
    frame = pd.read_parquet(folder / "reviews.parquet")
    frame.loc[TEXTS // 2 + 7, "review"] = None
    frame.to_parquet(folder / "reviews.parquet", row_group_size=150)


@pytest.mark.parametrize(
    ("make", "spoil", "message"),
    [
        (picture_job, break_picture, "expected whole PNG and JPEG files, came 'leaf/30.png', which is neither"),
        (text_job, break_text, "a value in every row of column 'review', came a missing value (NaN) in row 308"),
    ],
    ids=["pictures", "texts"],
)
def test_what_is_wrong_in_the_middle_is_told_as_ever_before_a_run_is_opened(
    make: MakeJob, spoil: Callable[[Path], None], message: str, cluster: None, home: Home, tmp_path: Path
) -> None:
    make(tmp_path, "stream")
    spoil(tmp_path)
    told = []
    for memory in ("stream", "resident"):
        with pytest.raises(DataError) as caught:
            run_pipeline(make(tmp_path, memory), Recorder())
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert message in told[0]
    assert home.runs() == []
