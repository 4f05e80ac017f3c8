"""What a row draws is its own affair."""

import numpy as np

from pipelines.data.draws import row_ids, uniform


def test_blocks_do_not_matter() -> None:
    whole = uniform(7, "part", row_ids(2, 0, 1000))
    parts = [uniform(7, "part", row_ids(2, first, 250)) for first in range(0, 1000, 250)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_draws_are_uniform_and_those_of_other_seeds_files_and_purposes_are_others() -> None:
    ids = row_ids(0, 0, 20_000)
    draws = [
        uniform(0, "part", ids),
        uniform(1, "part", ids),
        uniform(2**32 - 1, "part", ids),
        uniform(0, "sample", ids),
        uniform(0, "shard", ids),
        uniform(0, "part", row_ids(1, 0, 20_000)),
    ]
    for values in draws:
        assert 0 <= values.min() < values.max() < 1
        counts = np.histogram(values, bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi square with 19 degrees of freedom: one in 10,000
    correlations = np.corrcoef(np.stack(draws)) - np.eye(len(draws))
    assert np.abs(correlations).max() < 0.03  # four standard errors
