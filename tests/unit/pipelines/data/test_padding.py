"""Series that were filled up to one length: what fills them up is nowhere to be seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import DataError, SpecError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.team import Solo
from pipelines.training.worker import Trained, make_job, train

ROWS, STEPS, FEATURES = 40, 6, 2
RANDOM = np.random.default_rng(0)
SERIES = RANDOM.normal(5, 2, (ROWS, STEPS, FEATURES)).astype(np.float32)
LENGTHS = RANDOM.integers(1, STEPS + 1, ROWS)
CLASSES = np.arange(ROWS) % 2

Array = NDArray[Any]


def filled(value: float) -> Array:
    """The series with `value` in the place of what does not count."""
    series = SERIES.copy()
    series[np.arange(STEPS) >= LENGTHS[:, None]] = value
    return series


def spec_of(
    folder: Path,
    features: Array = SERIES,
    lengths: Array = LENGTHS,
    model: str = "rnn",
    name: str = "steps",
    **options: object,
) -> TrainingSpec:
    np.savez(folder / "rows.npz", features=features, target=CLASSES, steps=lengths)
    return build_spec(
        {
            "data": {"source": "npz", "path": str(folder / "rows.npz"), "lengths": name} | options,
            "model": {"family": model} | ({"bidirectional": True, "hidden_size": 5} if model == "rnn" else {}),
            "training": {"epochs": 2, "batch_size": 8},
        }
    )


def refusal(folder: Path, **changes: Any) -> str:  # noqa: ANN401
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(folder, **changes))
    return str(caught.value)


def parts(dataset: Dataset) -> list[tuple[Array, Array]]:
    found = []
    for rows in (dataset.train, dataset.validation, dataset.test):
        assert rows.lengths is not None
        found.append((rows.features, rows.lengths))
    return found


def test_lengths_stay_with_their_rows(tmp_path: Path) -> None:
    dataset = load_dataset(spec_of(tmp_path))
    assert dataset.has_lengths
    assert list(dataset.test.inputs) == ["features", "lengths"]
    known = {row[0].tobytes(): length for row, length in zip(SERIES, LENGTHS, strict=True)}
    for features, lengths in parts(dataset):
        assert [known[row[0].tobytes()] for row in features] == lengths.tolist()
        assert lengths.dtype == np.int64


def test_only_steps_that_count_are_measured(tmp_path: Path) -> None:
    dataset = load_dataset(spec_of(tmp_path, filled(1e6)))
    features, lengths = parts(dataset)[0]
    steps = np.concatenate([row[:length] for row, length in zip(features, lengths, strict=True)])
    np.testing.assert_allclose(dataset.features.mean, steps.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(dataset.features.deviation, steps.std(axis=0), rtol=1e-5)
    assert dataset.features.mean.shape == (FEATURES,), "any number of steps is served"


def weights(spec: TrainingSpec) -> dict[str, Array]:
    *_, last = train(make_job(spec, load_dataset(spec)), Solo(), torch.device("cpu"))
    assert isinstance(last, Trained)
    return dict(last.weights)


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_what_fills_rows_up_changes_nothing(value: float, tmp_path: Path) -> None:
    plain, garbage = spec_of(tmp_path, filled(0)), tmp_path / "garbage"
    garbage.mkdir()
    digest, expected = load_dataset(plain).digest, weights(plain)
    spec = spec_of(garbage, filled(value))
    assert load_dataset(spec).digest == digest
    for name, weight in weights(spec).items():
        np.testing.assert_array_equal(weight, expected[name])


def test_lengths_make_other_data_and_other_weights(tmp_path: Path) -> None:
    shorter = spec_of(tmp_path, lengths=np.maximum(LENGTHS - 1, 1))
    digest, less = load_dataset(shorter).digest, weights(shorter)
    spec = spec_of(tmp_path)
    assert load_dataset(spec).digest != digest
    assert any(not np.array_equal(weight, less[name]) for name, weight in weights(spec).items())


def test_a_shape_may_add_the_feature_to_one_number_a_step(tmp_path: Path) -> None:
    dataset = load_dataset(spec_of(tmp_path, filled(np.nan)[..., 0], shape=[STEPS, 1]))
    assert (dataset.row_shape, dataset.features.mean.shape) == ((STEPS, 1), (1,))


EXPECTED = "data.lengths: expected a whole number from 1 to 6 a row in the array 'steps', came"


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (LENGTHS.astype(float), f"{EXPECTED} float64"),
        (LENGTHS[:5], f"{EXPECTED} [5] for 40 rows"),
        (LENGTHS[:, None], f"{EXPECTED} [40, 1] for 40 rows"),
        (np.where(np.arange(ROWS) == 2, 0, LENGTHS), f"{EXPECTED} 0 in row 3"),
        (np.where(np.arange(ROWS) > 37, 7, LENGTHS), f"{EXPECTED} 7 in row 39 and in 1 more"),
    ],
)
def test_lengths_that_cannot_be(lengths: Array, message: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, lengths=lengths) == message


def test_an_array_that_is_not_there(tmp_path: Path) -> None:
    message = "data.lengths: expected one of the arrays 'features', 'target', 'steps', came 'sizes'"
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(tmp_path, name="sizes"))
    assert str(caught.value) == message


def test_rows_without_steps_have_no_lengths(tmp_path: Path) -> None:
    message = "data.shape: expected [6, features], as data.lengths counts steps of a row, came"
    assert refusal(tmp_path, features=SERIES[..., 0]) == f"{message} [6]"
    assert refusal(tmp_path, shape=[4, 3]) == f"{message} [4, 3]"


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_network_that_reads_all_steps_takes_no_lengths(model: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, model=model)
    expected = "none, unless model.family is rnn, or cnn with model.global_pooling"
    assert str(caught.value) == f"data.lengths: expected {expected}, came 'steps'"
