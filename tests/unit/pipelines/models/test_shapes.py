"""How many rows go through a network together."""

import pytest

from pipelines.models.shapes import rows_a_pass


@pytest.mark.parametrize(
    ("row_shape", "rows"), [((4,), 1024), ((64,), 1024), ((1, 28, 28), 83), ((50, 8), 163), ((3, 224, 224), 1)]
)
def test_the_larger_a_row_the_fewer_go_together(row_shape: tuple[int, ...], rows: int) -> None:
    assert rows_a_pass(row_shape) == rows
