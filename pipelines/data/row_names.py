"""How people find a row again that a message speaks of: its file, and its place there, counted from 1."""

from dataclasses import dataclass

from pipelines.data.draws import RowIds, files_of, places_of


@dataclass(frozen=True)
class RowNames:
    """What rows of one source are called."""

    files: tuple[str, ...] = ()
    """By the number that a row's id has of its file; empty where there is one file, or none."""
    one_a_file: bool = False
    """Whether a file is a row, as a picture is."""

    def of(self, rows: RowIds) -> tuple[str, ...]:
        """Such as "3", "3 of birds.csv" or "cats/1.png"."""
        numbers = [str(place + 1) for place in places_of(rows).tolist()]
        if not self.files:
            return tuple(numbers)
        files = [self.files[file] for file in files_of(rows).tolist()]
        if self.one_a_file:
            return tuple(files)
        return tuple(f"{number} of {file}" for number, file in zip(numbers, files, strict=True))


BY_NUMBER = RowNames()
"""Rows that are counted through."""
