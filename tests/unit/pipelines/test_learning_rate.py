"""A search for a learning rate: its picture, and that nothing else is left."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import TrainingError
from pipelines.learning_rate import search_learning_rate
from pipelines.spec_file import build_spec, load_spec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("recipe", ["digits-mlp", "diabetes-mlp"])
def test_a_search_leaves_a_picture_and_nothing_else(recipe: str, home: Path) -> None:
    search = search_learning_rate(load_spec(recipe, []))
    assert search.plot == home / "learning-rates" / f"{recipe}.png"
    assert search.plot.read_bytes().startswith(b"\x89PNG")
    assert [path for path in home.rglob("*") if path.is_file()] == [search.plot]
    assert 1e-4 < (search.curve.suggestion or 0) < 1


def test_rows_that_no_rate_can_learn_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", features=np.full((30, 2), 3e38, np.float32), target=np.arange(30.0))
    data = {"source": "npz", "path": str(tmp_path / "rows.npz"), "standardize": False}
    with pytest.raises(TrainingError, match="not finite at the lowest learning rate"):
        search_learning_rate(build_spec({"data": data, "loss": {"name": "mse"}}))
