"""What recipes read, written from what is on every machine."""

from pathlib import Path

import pandas as pd
import pytest

from pipelines.data.samples import main


def test_characters_have_names_and_kinds(tmp_path: Path) -> None:
    file = tmp_path / "names.csv"
    told = main(["character-names", str(file)])
    frame = pd.read_csv(file)
    assert told == f"{len(frame)} rows in {file}"
    assert len(frame) > 5000
    assert set(frame["kind"]) == {"letter", "mark", "number", "punctuation", "symbol"}
    assert frame["name"].is_unique
    assert not frame["name"].str.contains("IDEOGRAPH").any()


def test_digits_are_a_folder_a_class(tmp_path: Path) -> None:
    assert main(["digits", str(tmp_path / "digits")]).startswith("1797 rows in ")
    assert sorted(folder.name for folder in (tmp_path / "digits").iterdir()) == list("0123456789")


@pytest.mark.parametrize("arguments", [[], ["digits"], ["letters", "x"]])
def test_what_else_is_asked_for_gets_the_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="usage: python -m pipelines"):
        main(arguments)
