"""From the `data` section to a dataset: shapes, parts, scaling of the training part, digest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import DataError
from pipelines.spec_file import build_spec

FEATURES = np.random.default_rng(0).standard_normal((60, 12)).astype(np.float32)
CLASSES = np.arange(60) % 3


def load(data: dict[str, Any], loss: str = "cross_entropy", seed: int = 0) -> Dataset:
    return load_dataset(build_spec({"seed": seed, "data": data, "loss": {"name": loss}}))


def archive(
    folder: Path, features: NDArray[Any] = FEATURES, target: NDArray[Any] = CLASSES, **options: object
) -> dict[str, Any]:
    np.savez(folder / "rows.npz", features=features, target=target)
    return {"source": "npz", "path": str(folder / "rows.npz")} | options


def all_rows(dataset: Dataset) -> NDArray[np.float32]:
    return np.concatenate([dataset.train.features, dataset.validation.features, dataset.test.features])


def test_the_digits() -> None:
    dataset = load({"source": "sklearn", "dataset": "digits", "shape": [1, 8, 8]})
    assert (dataset.row_shape, dataset.num_outputs) == ((1, 8, 8), 10)
    assert dataset.labels == tuple("0123456789")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [1259, 269, 269]
    assert sorted(set(dataset.test.targets.tolist())) == list(range(10))


def test_the_parts_hold_every_row_with_its_own_target(tmp_path: Path) -> None:
    quantities = FEATURES[:, 0] * 2
    dataset = load(archive(tmp_path, target=quantities), "mse")
    assert len(np.unique(all_rows(dataset)[:, 0])) == 60
    for part in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_allclose(part.targets, part.features[:, 0] * 2)


@pytest.mark.parametrize("shape", [None, [3, 4], [3, 2, 2]])
def test_features_are_measured_on_the_training_rows_alone(shape: list[int] | None, tmp_path: Path) -> None:
    dataset = load(archive(tmp_path, FEATURES * 5 + 2, shape=shape))
    axes = {1: (0,), 2: (0, 1), 3: (0, 2, 3)}[len(dataset.row_shape)]
    scaled = dataset.features.apply(dataset.train.features)
    np.testing.assert_allclose(scaled.mean(axis=axes), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=axes), 1, atol=1e-5)
    assert np.abs(dataset.features.apply(dataset.test.features).mean(axis=axes)).max() > 0.01


def test_standardisation_can_be_left_out(tmp_path: Path) -> None:
    dataset = load(archive(tmp_path, standardize=False))
    np.testing.assert_array_equal(dataset.features.apply(dataset.test.features), dataset.test.features)


def test_quantities_are_measured_on_the_training_rows_alone(tmp_path: Path) -> None:
    dataset = load(archive(tmp_path, target=FEATURES[:, 0] * 9 + 4), "mse")
    assert dataset.target.mean == pytest.approx(dataset.train.targets.mean(), rel=1e-5)
    assert dataset.target.deviation == pytest.approx(dataset.train.targets.std(), rel=1e-5)
    assert (dataset.labels, dataset.num_outputs, dataset.task) == ((), 1, "regression")


def test_classes_are_left_unscaled(tmp_path: Path) -> None:
    dataset = load(archive(tmp_path))
    assert (dataset.target.mean.tolist(), dataset.target.deviation.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        ((12,), [3, 5], "at most three numbers whose product is 12, the values of a row, came [3, 5]"),
        ((1, 2, 3, 2), None, "at most three numbers whose product is 12, the values of a row, came no shape"),
    ],
)
def test_rows_must_fill_their_shape(
    values: tuple[int, ...], shape: list[int] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        load(archive(tmp_path, FEATURES.reshape(60, *values), shape=shape))
    assert str(caught.value) == f"data.shape: expected {message}"


def test_a_shape_keeps_the_order_of_the_values(tmp_path: Path) -> None:
    flat, shaped = load(archive(tmp_path)), load(archive(tmp_path, shape=[3, 4]))
    np.testing.assert_array_equal(shaped.train.features, flat.train.features.reshape(-1, 3, 4))


def test_the_digest_tells_equal_data_from_other_data(tmp_path: Path) -> None:
    base = load(archive(tmp_path)).digest
    assert len(base) == 16
    assert load(archive(tmp_path), seed=9).digest == base  # of all rows, however they are split
    changed = FEATURES.copy()
    changed[17, 3] = np.nextafter(changed[17, 3], np.float32(9))
    swapped = CLASSES.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    others = [
        load(archive(tmp_path, changed)).digest,
        load(archive(tmp_path, target=swapped)).digest,
        load(archive(tmp_path, target=np.array(list("abc"))[CLASSES])).digest,
        load(archive(tmp_path, FEATURES[:57], CLASSES[:57])).digest,
    ]
    assert len({base, *others}) == 5


def test_the_digest_of_a_bundled_set_is_the_same_in_every_process() -> None:
    assert load({"source": "sklearn", "dataset": "iris"}).digest == "e8478b4d835bcffb"
