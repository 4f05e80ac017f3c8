"""Recipes of real data in every form, each run as it is: what they promise, and within a minute."""

from pathlib import Path

import pytest

from pipelines.data.samples import main
from pipelines.pipeline import run_pipeline
from pipelines.spec_file import load_spec
from tests.integration.pipelines.jobs import Home, Recorder

pytestmark = pytest.mark.slow


PROMISES = {
    "penguins-mlp": ("accuracy", 0.95),
    "el-nino-rnn": ("skill", 0.1),
    "digit-images-cnn": ("accuracy", 0.95),
    "character-names-rnn": ("accuracy", 0.9),
}
"""A figure of the test rows, and what each recipe exceeds in it."""


@pytest.mark.parametrize("recipe", PROMISES)
def test_a_recipe_keeps_its_promise(
    recipe: str, cluster: None, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric, least = PROMISES[recipe]
    monkeypatch.chdir(tmp_path)
    if recipe == "digit-images-cnn":
        main(["digits", "digits"])
    if recipe == "character-names-rnn":
        main(["character-names", "character-names.csv"])
    outcome = run_pipeline(load_spec(recipe), Recorder())
    assert outcome.test.metrics[metric] > least, outcome.test.metrics
    assert outcome.seconds < 180  # a minute where nothing else runs, beside other tests up to three
