"""When classes are so uneven that a person should know."""

import pytest

from pipelines.data.balance import imbalance


@pytest.mark.parametrize("counts", [{}, {"a": 5}, {"a": 10, "b": 1}, {"a": 100, "b": 60, "c": 10}])
def test_even_enough(counts: dict[str, int]) -> None:
    assert imbalance(counts) == ""


def test_a_rare_class_is_named_with_its_rows() -> None:
    assert imbalance({"no": 95, "maybe": 40, "yes": 9}) == (
        "classes are uneven: 9 training rows are 'yes', 95 are 'no'; accuracy says little about the rare ones "
        "(loss.class_weights: balanced makes up for it)"
    )
