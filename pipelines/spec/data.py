"""Where rows come from and how they are divided."""

import re
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

    memory: Literal["auto", "resident", "stream"] = "auto"
    """Where the training rows are: `resident` in memory, or on disk, from where they `stream` as they are trained with.
    `auto` streams csv, parquet, images and text that would fill more than a tenth of this machine's memory. A streamed
    job measures by samples of at most 32 MiB: one of the training rows to fit scaling and categories, and the
    validation and test rows; a vocabulary is fitted on all training rows. Of these it needs free disk for 4 bytes a
    number, 1 a value of a picture, and 2 (beyond 65,000 words 4) for each token of the longest text. A series stays
    resident, as its windows overlap and need the steps in the order of time, and npz, which unpacks only as a whole."""
    split: Split = Split()
    """How the rows are divided."""
    standardize: bool = True
    """Scale the features to mean 0 and standard deviation 1, as measured on the training rows."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, min_length=1, max_length=3)
    """Shape of one row as the network sees it, such as [1, 8, 8]; by default as the source has it."""

    @model_validator(mode="after")
    def _can_stream(self) -> Self:
        if self.memory == "stream" and not isinstance(self, Streamable):
            raise mismatch("memory", "auto or resident, as only csv, parquet, images and text stream", "'stream'")
        return self


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

BUNDLED_SCHEME = "drivetrain:"
"""What the address of a file that comes along with the recipes begins with; its name follows."""


def _whole_address(address: str) -> str:
    if address.startswith(CONTENT_SCHEME) and not re.fullmatch(f"{CONTENT_SCHEME}[0-9a-f]{{64}}", address):
        raise mismatch("", f"{CONTENT_SCHEME} and 64 hexadecimal digits, or a file", repr(address))
    return address


Address = Annotated[str, Field(min_length=1), AfterValidator(_whole_address)]


class FileSource(Source):
    """Rows from files."""

    path: Address
    """The file, a pattern such as data/*.csv, or a folder: absolute, relative to the working directory, or any address
    that fsspec opens, such as s3://bucket/key. `sha256:HEX` is content uploaded to a service."""


class TableSource(FileSource):
    """A table whose columns have names; of several files, all have the same columns."""

    target: str = Field(default="target", min_length=1)
    """Column to predict."""
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Columns to predict from; by default all but the target."""
    categories: tuple[str, ...] = ()
    """Features whose values are names: texts, or numbers such as a postcode. Each value of the training rows becomes a
    feature of its own, which is 1 or 0; for a value that they do not have all of them are 0."""
    missing: Literal["refuse", "impute"] = "refuse"
    """What a missing value does. `refuse` stops the job. `impute` takes the median of the training rows, and adds a
    feature that marks where it did; of `categories`, the empty text is one more category."""

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.features is not None and self.target in self.features:
            raise mismatch("features", "columns without the target", f"{self.target!r} among them")
        if self.features is not None and len(set(self.features)) < len(self.features):
            raise mismatch("features", "each column once", "a name that repeats")
        known = self.features if self.features is not None else self.categories
        for name in self.categories:
            if name == self.target or name not in known:
                raise mismatch("categories", "columns among the features", repr(name))
        if len(set(self.categories)) < len(self.categories):
            raise mismatch("categories", "each column once", "a name that repeats")
        return self

    @model_validator(mode="after")
    def _columns_have_no_shape(self) -> Self:
        if self.by_column and self.shape is not None:
            expected = "none, as data.categories and data.missing settle how many values a row becomes"
            raise mismatch("shape", expected, str(list(self.shape)))
        return self

    @property
    def by_column(self) -> bool:
        """Whether the model takes an input a column, as not all are plain numbers."""
        return bool(self.categories) or self.missing != "refuse"


class CsvSource(TableSource):
    """CSV files with a header line."""

    source: Literal["csv"]
    """Kind of source."""


class ParquetSource(TableSource):
    """Parquet files; folders named such as year=2024 become columns."""

    source: Literal["parquet"]
    """Kind of source."""


class NpzSource(FileSource):
    """A NumPy archive: one array of features, first axis the row, and one of targets."""

    source: Literal["npz"]
    """Kind of source."""
    features: str = Field(default="features", min_length=1)
    """Name of the array with the features."""
    target: str = Field(default="target", min_length=1)
    """Name of the array with the target."""
    lengths: str | None = Field(default=None, min_length=1)
    """Name of the array with how many steps of each row count, where series [time, features] were filled up to one
    length; what fills them up changes nothing. By default all count."""


class Augmentation(Section):
    """Changes that training makes to its images at random, anew in each epoch; nothing else sees them."""

    flip: bool = False
    """Mirror every other image, left to right."""
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Move by up to this share of height and width; what comes in from outside has the mean colour."""
    crop: float = Field(default=0.0, ge=0, le=0.9)
    """Cut up to this share off height and width, and enlarge what is left."""


class ImagesSource(FileSource):
    """Pictures, PNG or JPEG, in a folder for each class."""

    source: Literal["images"]
    """Kind of source."""
    path: Address
    """The folder that holds the folders, or a zip archive of them; as local file or any address that fsspec opens."""
    size: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]] | None = None
    """[height, width] that pictures are resized to, when they are served too; by default they must have one size."""
    color: Literal["rgb", "gray"] = "rgb"
    """Three channels or one."""
    augment: Augmentation = Augmentation()
    """Changes to training images."""

    @model_validator(mode="after")
    def _images_have_their_shape(self) -> Self:
        if self.shape is not None:
            raise mismatch("shape", "none, as images are [channels, height, width]", str(list(self.shape)))
        return self


class TextSource(FileSource):
    """A column of texts and one of labels or quantities, CSV or Parquet."""

    source: Literal["text"]
    """Kind of source."""
    text: str = Field(default="text", min_length=1)
    """Column with the texts."""
    target: str = Field(default="target", min_length=1)
    """Column to predict."""
    unit: Literal["words", "bytes"] = "words"
    """What a token is: a word in lower case or a sign, or a byte of UTF-8."""
    vocabulary: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most words that are told apart: the most frequent ones of the training rows; the others are one unknown word."""
    max_tokens: int = Field(default=256, ge=1, le=100_000)
    """Tokens that are read of a text; what comes after them is left out."""

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.text == self.target:
            raise mismatch("text", "another column than the target", repr(self.text))
        if self.shape is not None:
            raise mismatch("shape", "none, as a text is as long as it is", str(list(self.shape)))
        return self


Streamable = CsvSource | ParquetSource | ImagesSource | TextSource
"""Sources whose rows may be more than memory holds."""


class SeriesSource(FileSource):
    """A time series: a table of one row a step, CSV or Parquet, from which windows of the past tell what comes next.

    `split` cuts it in the order of time, the last part is the test; no window reaches over a cut.
    """

    source: Literal["series"]
    """Kind of source."""
    time: str = Field(default="time", min_length=1)
    """Column with the time of each step: dates, or numbers. Rows are put in its order."""
    targets: tuple[str, ...] = Field(default=("target",), min_length=1)
    """Columns to forecast; their past is known too."""
    features: tuple[str, ...] | None = None
    """Further columns whose past is known; by default all that are left."""
    window: int = Field(default=24, ge=1, le=100_000)
    """Steps of the past that a forecast is made from."""
    horizon: int = Field(default=1, ge=1, le=10_000)
    """Steps to forecast."""
    season: int = Field(default=1, ge=1, le=100_000)
    """Steps after which the series is alike, such as 12 for months. Forecasts are compared with repeating the last
    season; 1 repeats the last value."""
    irregular: bool = False
    """Take the steps for equal although the times are not, such as days of trade."""
    missing: Literal["refuse", "forward"] = "refuse"
    """What a missing value does. `refuse` stops the job. `forward` carries on the last value before it, in windows that
    are served too; what is to be forecast is never made up: windows whose next steps lack a target are left out."""
    relative: bool = False
    """Tell the targets of a window relative to its last step, which is added to the forecast again: for series with a
    trend, whose values leave what training has seen (NLinear in Zeng et al., 2023). The R² of an epoch is then of these
    differences; the one of the evaluation is of the values."""

    @model_validator(mode="after")
    def _columns_and_steps_fit(self) -> Self:
        names = (self.time, *self.targets, *(self.features or ()))
        if len(set(names)) < len(names):
            raise mismatch("targets", "each column once among time, targets and features", "a name that repeats")
        if self.season > self.window:
            raise mismatch("season", f"at most data.window, which is {self.window}", str(self.season))
        if self.shape is not None:
            raise mismatch("shape", "none, as windows are [window, columns]", str(list(self.shape)))
        return self


Data = Annotated[
    SklearnSource | SyntheticSource | CsvSource | ParquetSource | NpzSource | ImagesSource | SeriesSource | TextSource,
    Field(discriminator="source"),
]
