"""What people get wrong, from the spec to the data, as they are told: the field, what was expected and what came.

All of it is found before a run is opened; `tests/unit/pipelines` has more of each kind.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.errors import DrivetrainError, ResourceError
from pipelines.pipeline import run_pipeline
from pipelines.spec_file import build_spec
from tests.integration.pipelines.jobs import MODEL, Home, Recorder, small
from tests.uninstalled import without_s3fs

Tree = dict[str, Any]

GOOD = "".join(f"{row}.5,{row % 3},{'xy'[row % 2]}\n" for row in range(20))


def csv(text: str, **options: object) -> Callable[[], Tree]:
    def write() -> Tree:
        Path("rows.csv").write_text(text)
        return {"data": {"source": "csv", "path": "rows.csv"} | options}

    return write


def npz(**arrays: Any) -> Callable[[], Tree]:  # noqa: ANN401 - of any kind
    def write() -> Tree:
        np.savez("rows.npz", allow_pickle=True, **arrays)
        return {"data": {"source": "npz", "path": "rows.npz"}}

    return write


def series(times: list[Any], **options: object) -> Callable[[], Tree]:
    def write() -> Tree:
        pd.DataFrame({"time": times, "target": np.arange(len(times)) % 7.0}).to_csv("series.csv", index=False)
        return {"data": {"source": "series", "path": "series.csv"} | options, "loss": {"name": "mse"}}

    return write


def pictures(*sizes: tuple[int, int], broken: bool = False) -> Callable[[], Tree]:
    def write() -> Tree:
        for number, size in enumerate(sizes):
            folder = Path("album") / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("L", size).save(folder / f"{number}.png")
        if broken:
            Path("album/a/notes.png").write_text("not a picture")
        return {"data": {"source": "images", "path": "album"}, "model": {"family": "cnn"}}

    return write


def texts(**sections: object) -> Callable[[], Tree]:
    def write() -> Tree:
        pd.DataFrame({"text": ["good", "bad"] * 10, "target": ["yes", "no"] * 10}).to_csv("texts.csv", index=False)
        return {"data": {"source": "text", "path": "texts.csv"}, **sections}

    return write


def spec(**sections: object) -> Callable[[], Tree]:
    return lambda: sections


DAYS = [f"2024-01-{day:02}" for day in range(1, 31)]

FAULTS: dict[str, tuple[Callable[[], Tree], str]] = {
    "no such file": (
        spec(data={"source": "csv", "path": "gone.csv"}),
        "data.path: expected an existing file or folder, came 'gone.csv', which is neither",
    ),
    "an empty file": (csv(""), "data.path: expected a readable csv file, came No columns to parse from file"),
    "a ragged file": (
        csv("a,b,target\n1,2,x\n1,2,3,4,x\n" + GOOD),
        "data.path: expected a readable csv file, "
        "came Error tokenizing data. C error: Expected 3 fields in line 3, saw 5",
    ),
    "no such column": (
        csv("a,b,label\n" + GOOD),
        "data.target: expected one of the columns 'a', 'b', 'label', came 'target'",
    ),
    "a text among numbers": (
        csv("a,b,target\n" + GOOD + "1,many,x\n"),
        "data.features: expected finite numbers in column 'b', or its name in data.categories, came 'many' in row 21",
    ),
    "semicolons": (
        csv("a;b;target\n1;2;x\n"),
        "data.path: expected columns separated by commas, came the single column 'a;b;target'",
    ),
    "a missing value": (
        csv("a,b,target\n" + GOOD + ",2,x\n"),
        "data.path: expected a value in every row of column 'a', or data.missing: impute, "
        "came a missing value (NaN) in row 21",
    ),
    "one class": (
        csv("a,b,target\n" + GOOD.replace("y", "x")),
        "data.target: expected at least two classes, came only x in column 'target'",
    ),
    "a class of two rows": (
        csv("a,b,target\n" + GOOD + "1,2,z\n3,4,z\n"),
        "data.target: expected at least 3 rows of each class, one for each part of the split, "
        "came class 'z' with 2 rows",
    ),
    "quantities as classes": (
        csv("a,b,target\n" + GOOD, features=["b"], target="a"),
        "data.target: expected classes in column 'a': texts or whole numbers, "
        "came the quantity 0.5 in row 1 (loss.name mse fits quantities)",
    ),
    "classes as quantities": (
        lambda: csv("a,b,target\n" + GOOD)() | {"loss": {"name": "mse"}},
        "data.target: expected numbers in column 'target', came 'x' (loss.name cross_entropy fits classes)",
    ),
    "two classes of three": (
        lambda: csv("a,b,target\n" + GOOD, features=["a"], target="b")() | {"loss": {"name": "binary_cross_entropy"}},
        "loss.name: expected cross_entropy (binary_cross_entropy is for two classes), came 3 classes",
    ),
    "pickled objects": (
        npz(features=np.ones((20, 2)), target=np.array([{}] * 20)),
        "data.path: expected an npz archive of plain arrays, "
        "came Object arrays cannot be loaded when allow_pickle=False",
    ),
    "rows without targets": (
        npz(features=np.ones((20, 2)), target=np.arange(19) % 2),
        "data.path: expected features shaped (rows, ...) and a target shaped (rows,), came [20, 2] and [19]",
    ),
    "a table for an rnn": (
        lambda: npz(features=np.ones((20, 2)), target=np.arange(20) % 2)() | {"model": {"family": "rnn"}},
        "data.shape: expected [time, features] for model.family rnn, came [2]",
    ),
    "irregular times": (
        series([*DAYS[:9], *DAYS[10:]]),
        "data.time: expected equal steps, or data.irregular: true, came 2024-01-11 00:00:00 after 2024-01-09 00:00:00",
    ),
    "too short a series": (
        series(DAYS, window=20, horizon=7),
        "data.window: expected with data.horizon at most 21, the steps of the training part, came 20 + 7",
    ),
    "not a picture": (
        pictures(*[(8, 8)] * 12, broken=True),
        "data.path: expected whole PNG and JPEG files, came 'a/notes.png', which is neither",
    ),
    "pictures of many sizes": (
        pictures(*[(8, 8)] * 11, (9, 8)),
        "data.size: expected [height, width] to resize to, as the pictures differ, came 2 sizes, from 8×8 to 8×9",
    ),
    "pictures too small": (
        lambda: pictures(*[(8, 8)] * 12)() | {"model": {"family": "cnn", "channels": [4] * 4}},
        "data.shape: expected an image of at least 16×16 for 4 blocks of model.channels, came 8×8",
    ),
    "texts for a perceptron": (texts(), "model.family: expected rnn or cnn for texts, came 'mlp'"),
    "texts without pooling": (
        texts(model={"family": "cnn"}),
        "model.global_pooling: expected max or average for texts, whose lengths differ, came 'none'",
    ),
    "a weight for a class that is not there": (
        lambda: csv("a,b,target\n" + GOOD)() | {"loss": {"class_weights": {"z": 2}}},
        "loss.class_weights: expected labels among x, y, came 'z'",
    ),
    "a bucket without its package": (
        spec(data={"source": "parquet", "path": "s3://bucket/rows/"}),
        "data.path: expected the package s3fs for an address in S3 (pip install 'drivetrain[s3]'), "
        "came 's3://bucket/rows/' without it",
    ),
    "an unknown key": (
        spec(training={"epoch": 5}),
        "training.epoch: expected 'epochs' (the nearest known key), came 'epoch'",
    ),
    "an unknown kind": (
        spec(optimizer={"name": "adamm"}),
        "optimizer.name: expected one of adam, adamw, adagrad, rmsprop, sgd, gd, came 'adamm'",
    ),
    "a rate of nothing": (
        spec(optimizer={"name": "adam", "learning_rate": 0}),
        "optimizer.learning_rate: expected greater than 0, came 0",
    ),
    "a loss that does not fit": (
        spec(loss={"name": "mse"}),
        "loss.name: expected cross_entropy for the set 'digits', came 'mse'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_before_anything_starts(
    fault: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    without_s3fs(monkeypatch)
    tree, message = FAULTS[fault]
    with pytest.raises(DrivetrainError) as caught:
        run_pipeline(build_spec({"name": MODEL} | tree()), Recorder())
    assert str(caught.value) == message
    assert home.runs() == []


def test_more_workers_than_cpus_are_told_before_a_run_is_opened(cluster: None, home: Home) -> None:
    with pytest.raises(ResourceError) as caught:
        run_pipeline(small(compute={"workers": 1000}), Recorder())
    assert str(caught.value).startswith("compute: asks for 1000 CPUs (1000 workers × 1), the Ray cluster has ")
    assert home.runs() == []
