"""Texts with labels: a vocabulary of the training rows alone, and what is no text."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import DataError
from pipelines.registry.texts import fit_vocabulary
from pipelines.spec_file import build_spec


def letters(rows: int = 60) -> pd.DataFrame:
    """Each text has a word of its own, and one that tells its class."""
    kinds = ["glad", "sad"] * (rows // 2)
    return pd.DataFrame({"letter": [f"I am {kind}, word{row}" for row, kind in enumerate(kinds)], "mood": kinds})


def data(path: Path, **options: object) -> dict[str, Any]:
    return {"source": "text", "path": str(path), "text": "letter", "target": "mood"} | options


def load(frame: pd.DataFrame, folder: Path, **options: object) -> Dataset:
    frame.to_csv(folder / "letters.csv", index=False)
    return load_dataset(build_spec({"data": data(folder / "letters.csv", **options)}))


def test_the_vocabulary_is_the_training_rows(tmp_path: Path) -> None:
    dataset = load(letters(), tmp_path)
    assert dataset.text is not None
    assert dataset.text.vocabulary == fit_vocabulary(dataset.train.columns["letter"][:, 0], 10_000)
    own = {word for word in dataset.text.vocabulary if word.startswith("word")}
    assert len(own) == len(dataset.train)
    assert dataset.vocabulary == 2 + len(own) + 5
    assert (dataset.labels, dataset.feature_names, dataset.num_outputs) == (("glad", "sad"), ("letter",), 2)


def test_rows_are_tokens_and_clients_send_texts(tmp_path: Path) -> None:
    dataset = load(letters(), tmp_path, max_tokens=4)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.features.dtype == np.int64
        assert part.features.shape == (len(part), 4)
        assert part.inputs["letter"].shape == (len(part), 1)
        np.testing.assert_array_equal(dataset.features.apply(part.features), part.features)
        assert dataset.graph_inputs(part)["features"] is part.features


def test_bytes(tmp_path: Path) -> None:
    dataset = load(letters(), tmp_path, unit="bytes", max_tokens=7)
    assert dataset.vocabulary == 258
    assert dataset.train.features[0].tolist() == [byte + 2 for byte in b"I am gl"]


def test_the_most_frequent_words_are_kept(tmp_path: Path) -> None:
    dataset = load(letters(), tmp_path, vocabulary=3)
    assert dataset.text is not None
    assert set(dataset.text.vocabulary) == {",", "am", "i"}


def test_the_digest_follows_texts_and_targets(tmp_path: Path) -> None:
    other = letters().assign(mood=lambda each: each["mood"].to_numpy()[::-1])
    digests = {load(letters(), tmp_path).digest, load(other, tmp_path).digest, load(letters(58), tmp_path).digest}
    assert len(digests) == 3
    letters().to_parquet(tmp_path / "rows")
    assert load_dataset(build_spec({"data": data(tmp_path / "rows")})).digest == load(letters(), tmp_path).digest


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (
            letters().assign(letter=range(60)),
            {},
            "data.text: expected texts in column 'letter', came 0 in row 1",
        ),
        (
            letters().assign(letter=lambda each: each["letter"].where(each.index != 4)),
            {},
            "data.path: expected a value in every row of column 'letter', came a missing value (NaN) in row 5",
        ),
        (letters(), {"text": "body"}, "data.text: expected one of the columns 'letter', 'mood', came 'body'"),
        (letters(), {"target": "kind"}, "data.target: expected one of the columns 'letter', 'mood', came 'kind'"),
        (letters()[:0], {}, "data.path: expected at least one row, came none"),
    ],
)
def test_what_is_no_text(frame: pd.DataFrame, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(frame, tmp_path, **options)
    assert str(caught.value) == message
