"""Which rows go where."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.data.splits import SplitIndices, split_rows
from pipelines.errors import DataError
from pipelines.spec.data import Split

DEFAULT = Split()


def parts(split: SplitIndices) -> tuple[NDArray[np.int64], ...]:
    return split.train, split.validation, split.test


def same(one: SplitIndices, other: SplitIndices) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(parts(one), parts(other), strict=True))


@pytest.mark.parametrize("classes", [None, np.arange(1000) % 7])
def test_the_shares_are_kept(classes: NDArray[np.int64] | None) -> None:
    split = split_rows(1000, Split(train=0.5, validation=0.3, test=0.2), 0, classes)
    assert [len(part) for part in parts(split)] == pytest.approx([500, 300, 200], abs=4)


def test_classes_are_divided_in_equal_shares() -> None:
    classes = np.repeat([0, 1, 2], [600, 300, 100])
    split = split_rows(1000, Split(train=0.6, validation=0.2, test=0.2), 3, classes)
    assert [np.bincount(classes[part]).tolist() for part in parts(split)] == [
        [360, 180, 60],
        [120, 60, 20],
        [120, 60, 20],
    ]


def test_the_seed_decides() -> None:
    classes = np.arange(60) % 3
    for of in (None, classes):
        assert same(split_rows(60, DEFAULT, 5, of), split_rows(60, DEFAULT, 5, of))
        assert not same(split_rows(60, DEFAULT, 5, of), split_rows(60, DEFAULT, 6, of))


def test_rows_are_drawn_at_random_and_not_from_the_front() -> None:
    split = split_rows(1000, DEFAULT, 0)
    for part in parts(split):
        assert abs(part.mean() - 499.5) < 75


@pytest.mark.parametrize("classes", [None, [0, 0, 0, 1, 1], [0, 0]])
def test_too_few_rows_are_refused(classes: list[int] | None) -> None:
    labels = None if classes is None else np.array(classes)
    with pytest.raises(DataError, match=r"data\.split: expected at least three rows to divide, came 2"):
        split_rows(2 if labels is None else len(labels), DEFAULT, 0, labels)


def shares(pair: tuple[int, int]) -> Split:
    first, second = pair
    return Split(train=first / 100, validation=second / 100, test=(100 - first - second) / 100)


SHARES = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100).map(shares)
COUNTS = st.lists(st.integers(3, 30), min_size=2, max_size=6)


@settings(max_examples=150, deadline=None)
@given(SHARES, COUNTS, st.integers(0, 2**32 - 1))
def test_every_row_once_and_every_class_everywhere(split: Split, counts: Iterable[int], seed: int) -> None:
    classes = np.concatenate([np.full(count, label) for label, count in enumerate(counts)])
    found = split_rows(len(classes), split, seed, classes)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts(found))), np.arange(len(classes)))
    for part in parts(found):
        assert set(classes[part]) == set(classes)


@settings(max_examples=100, deadline=None)
@given(SHARES, st.integers(3, 200), st.integers(0, 2**32 - 1))
def test_quantities_every_row_once_and_no_part_empty(split: Split, rows: int, seed: int) -> None:
    found = split_rows(rows, split, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts(found))), np.arange(rows))
    assert all(len(part) for part in parts(found))
