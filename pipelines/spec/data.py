"""Where rows come from and how they are divided."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipelines.spec.section import Section, mismatch

REGRESSION_SETS = ("diabetes",)
"""The sets bundled with scikit-learn whose target is a quantity."""


class Split(Section):
    """Shares of the rows for training, validation and test; they add up to 1."""

    train: float = Field(default=0.7, gt=0, lt=1)
    """Share that the weights are fitted on."""
    validation: float = Field(default=0.15, gt=0, lt=1)
    """Share that picks the best epoch and decides the promotion."""
    test: float = Field(default=0.15, gt=0, lt=1)
    """Share that is looked at once, at the end."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise mismatch("", "train, validation and test that add up to 1", f"{total:g}")
        return self


class Source(Section):
    """What every source of rows has."""

    split: Split = Split()
    """How the rows are divided."""
    standardize: bool = True
    """Scale the features to mean 0 and standard deviation 1, as measured on the training rows."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1, max_length=3)
    """Shape of one row as the network sees it, such as [1, 8, 8]; by default as the source has it."""


class SklearnSource(Source):
    """A data set that ships with scikit-learn."""

    source: Literal["sklearn"] = "sklearn"
    """Kind of source."""
    dataset: Literal["breast_cancer", "diabetes", "digits", "iris", "wine"] = "digits"
    """Which of the bundled sets."""


class SyntheticSource(Source):
    """Normally distributed random rows; a random linear map of the features gives the target."""

    source: Literal["synthetic"]
    """Kind of source."""
    rows: int = Field(default=1000, ge=10, le=100_000_000)
    """How many rows."""
    features: int = Field(default=20, ge=1, le=100_000)
    """How many features a row has."""
    classes: int = Field(default=10, ge=2, le=10_000)
    """How many classes there are; regression ignores it."""


CONTENT_SCHEME = "sha256:"
"""What the address of uploaded content begins with; its SHA-256 in hexadecimal digits follows."""


def _whole_address(path: Path) -> Path:
    if str(path).startswith(CONTENT_SCHEME) and not re.fullmatch(f"{CONTENT_SCHEME}[0-9a-f]{{64}}", str(path)):
        raise mismatch("", f"{CONTENT_SCHEME} and 64 hexadecimal digits, or a file", repr(str(path)))
    return path


DataPath = Annotated[Path, AfterValidator(_whole_address)]


class TableSource(Source):
    """A table whose columns have names."""

    path: DataPath
    """The file, absolute or relative to the working directory, or `sha256:HEX` for content uploaded to a service."""
    target: str = Field(default="target", min_length=1)
    """Column to predict."""
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns to predict from; by default all but the target."""

    @model_validator(mode="after")
    def _target_is_no_feature(self) -> Self:
        if self.features is not None and self.target in self.features:
            raise mismatch("features", "columns without the target", f"{self.target!r} among them")
        if self.features is not None and len(set(self.features)) < len(self.features):
            raise mismatch("features", "each column once", "a name that repeats")
        return self


class CsvSource(TableSource):
    """A CSV file with a header line."""

    source: Literal["csv"]
    """Kind of source."""


class ParquetSource(TableSource):
    """A Parquet file."""

    source: Literal["parquet"]
    """Kind of source."""


class NpzSource(Source):
    """A NumPy archive: one array of features, first axis the row, and one of targets."""

    source: Literal["npz"]
    """Kind of source."""
    path: DataPath
    """The file, absolute or relative to the working directory, or `sha256:HEX` for content uploaded to a service."""
    features: str = Field(default="features", min_length=1)
    """Name of the array with the features."""
    target: str = Field(default="target", min_length=1)
    """Name of the array with the target."""


Data = Annotated[SklearnSource | SyntheticSource | CsvSource | ParquetSource | NpzSource, Field(discriminator="source")]
