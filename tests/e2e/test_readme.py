"""What the README promises, as a newcomer would try it: the demo, and every recipe."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.pipeline import run_pipeline
from pipelines.spec_file import load_spec, recipes
from tests.integration.cli.commands import drivetrain, processes_of
from tests.integration.pipelines.cluster import local_ray
from tests.integration.pipelines.jobs import Home, Recorder
from tests.integration.pipelines.test_recipes import PROMISES
from tests.waiting import eventually

pytestmark = pytest.mark.slow

DEMO_ACCURACY = {"digits-mlp": 0.965, "digits-cnn": 0.98, "digits-rnn": 0.965}
"""Test accuracy that each recipe of the demo reaches at least."""

OTHER_RECIPES = {
    "breast-cancer-mlp": ("accuracy", 0.95),
    "diabetes-mlp": ("r2", 0.3),
    "synthetic-mlp": ("accuracy", 0.3),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One local Ray for all recipes."""
    with local_ray():
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A new home, as after cloning."""
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    return Home(tmp_path)


@pytest.mark.timeout(900)
def test_the_demo_trains_serves_and_asks(home: Home) -> None:
    for time in (1, 2):
        result = drivetrain("demo", home=home.directory)
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        rows = re.findall(r"(digits-\w+)\s*│\s*(\d+)\s*│\s*(\d\.\d+)\s*│(.+?)│(.+?)│\s*[\d.]+ ms", result.stdout)
        assert [(model, version) for model, version, *_ in rows] == [(model, str(time)) for model in DEMO_ACCURACY]
        for model, _, accuracy, predicted, truth in rows:
            assert float(accuracy) >= DEMO_ACCURACY[model]
            assert len(predicted.split()) == len(truth.split()) == 6
        assert "drivetrain serve" in result.stdout
        eventually(lambda: processes_of(home.directory) == {})

    assert home.registry.champions() == dict.fromkeys(DEMO_ACCURACY, "2")
    for model, least in DEMO_ACCURACY.items():
        runs = home.runs(model)
        assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
        assert all(run.data.metrics["test_accuracy"] >= least for run in runs)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("recipe", OTHER_RECIPES)
def test_the_other_recipes_train(recipe: str, home: Home) -> None:
    metric, least = OTHER_RECIPES[recipe]
    outcome = run_pipeline(load_spec(recipe), Recorder())
    assert outcome.test.metrics[metric] >= least
    (run,) = home.runs(recipe)
    assert run.data.metrics[f"test_{metric}"] == outcome.test.metrics[metric]
    assert home.registry.champions() == {recipe: "1"}


def test_every_recipe_is_tried() -> None:
    assert set(recipes()) == DEMO_ACCURACY.keys() | OTHER_RECIPES.keys() | PROMISES.keys()
