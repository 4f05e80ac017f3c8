"""Standardisation, against its formula and its axes."""

import numpy as np
import pytest

from pipelines.data.scaling import Scaling

RANDOM = np.random.default_rng(0)


def test_the_formula() -> None:
    rows = np.array([[1, 10], [3, 10.5], [8, 11]], np.float32)
    scaling = Scaling.fit(rows)
    np.testing.assert_allclose(scaling.mean, [4, 10.5])
    np.testing.assert_allclose(scaling.deviation, [np.sqrt((9 + 1 + 16) / 3), np.sqrt(0.5 / 3)], rtol=1e-6)
    np.testing.assert_allclose(scaling.apply(rows), (rows - scaling.mean) / scaling.deviation)


@pytest.mark.parametrize(
    ("shape", "axes", "fitted"),
    [
        ((200, 3), (0,), (3,)),
        ((200, 5, 3), (0, 1), (3,)),  # over time, so that any length can be served
        ((200, 3, 4, 4), (0, 2, 3), (3, 1, 1)),  # over pixels
    ],
)
def test_each_feature_alone(shape: tuple[int, ...], axes: tuple[int, ...], fitted: tuple[int, ...]) -> None:
    rows = (RANDOM.standard_normal(shape) * 7 + 3).astype(np.float32)
    feature_axis = next(axis for axis in range(len(shape)) if axis not in axes)
    rows += np.arange(3, dtype=np.float32).reshape([3 if axis == feature_axis else 1 for axis in range(len(shape))])
    scaling = Scaling.fit(rows)
    assert scaling.mean.shape == scaling.deviation.shape == fitted
    scaled = scaling.apply(rows)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=axes, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=axes, dtype=np.float64), 1, atol=1e-5)


def test_sequences_of_another_length_can_be_scaled() -> None:
    scaling = Scaling.fit(RANDOM.standard_normal((20, 5, 3)).astype(np.float32))
    assert scaling.apply(np.zeros((2, 9, 3), np.float32)).shape == (2, 9, 3)


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e30])
def test_a_constant_feature_is_shifted_to_zero(value: float) -> None:
    rows = np.full((1000, 1), value, np.float32)
    scaling = Scaling.fit(rows)
    assert scaling.deviation.tolist() == [1]
    np.testing.assert_array_equal(scaling.apply(rows), 0)


@pytest.mark.parametrize("unit", [1e-20, 1e-13, 1.0, 1e20])
def test_the_unit_of_a_feature_does_not_matter(unit: float) -> None:
    rows = (RANDOM.standard_normal((500, 1)) * unit).astype(np.float32)
    assert Scaling.fit(rows).apply(rows).std(dtype=np.float64) == pytest.approx(1, abs=1e-5)


def test_the_identity_changes_nothing() -> None:
    rows = RANDOM.standard_normal((4, 2, 3, 3)).astype(np.float32)
    np.testing.assert_array_equal(Scaling.identity().apply(rows), rows)
