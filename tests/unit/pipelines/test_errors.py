"""What other people's errors come to in a line."""

import pytest

from pipelines.errors import last_line


@pytest.mark.parametrize(
    ("error", "line"),
    [(MemoryError(), "MemoryError"), (ValueError(" \n"), "ValueError"), (OSError("Traceback:\n  so\nfull\n"), "full")],
)
def test_an_error_comes_to_the_last_line_of_its_text_or_its_name(error: Exception, line: str) -> None:
    assert last_line(error) == line
