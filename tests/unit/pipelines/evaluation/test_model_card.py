"""What a model card says."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.model_card import write_model_card
from pipelines.registry.manifest import Text
from pipelines.spec_file import build_spec
from tests.unit.pipelines.evaluation.outcomes import dataset

TRUTH, PREDICTED = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
QUANTITIES = np.array([1.0, 2.0])


def test_the_card_of_a_classifier() -> None:
    spec = build_spec({"name": "animals", "seed": 3, "data": {"source": "csv", "path": "animals.csv"}})
    validation = Evaluation({"loss": 0.25, "accuracy": 0.9}, TRUTH, PREDICTED)
    test = Evaluation({"loss": 0.5, "accuracy": 0.87654, "roc_auc": 0.99}, TRUTH, PREDICTED)
    assert write_model_card(spec, dataset("classification"), "run1", validation, test).splitlines() == [
        "# animals",
        "",
        "- Task: classification of `animal`",
        "- Network: mlp, rows shaped [2]",
        "- Data: animals.csv (digest `0123456789abcdef`), 10 training, 5 validation and 6 test rows",
        "- Classes: cat, dog, eel",
        "- Trained by run `run1`, seed 3",
        "",
        "| metric | validation | test |",
        "| --- | --- | --- |",
        "| accuracy | 0.9000 | 0.8765 |",
        "| loss | 0.2500 | 0.5000 |",
        "| roc_auc | - | 0.9900 |",
        "",
        "| class | precision | recall | F1 | test rows |",
        "| --- | --- | --- | --- | --- |",
        "| cat | 1.0000 | 0.6667 | 0.8000 | 3 |",
        "| dog | 0.5000 | 1.0000 | 0.6667 | 1 |",
        "| eel | 0.0000 | 0.0000 | 0.0000 | 0 |",
        "",
        "ece is the expected calibration error over 15 bins; roc_auc is one against the rest, averaged.",
        "",
        "Raw feature values go in; standardisation is part of the graph. The figures hold for rows like those above: "
        "on data from",
        "elsewhere, measure again before you rely on them.",
    ]


def test_the_card_of_a_reader_of_texts_says_what_the_graph_takes() -> None:
    spec = build_spec({"data": {"source": "text", "path": "reviews.csv"}, "model": {"family": "rnn"}})
    read = replace(dataset("classification"), text=Text(unit="bytes", max_tokens=9))
    figures = Evaluation({"accuracy": 0.9}, TRUTH, PREDICTED)
    card = write_model_card(spec, read, "run5", figures, figures)
    assert "The prediction service takes texts. `model.onnx` itself, and so `mlflow.pyfunc`, takes the tokens" in card
    assert "Raw feature values" not in card


def test_the_card_of_a_regressor_names_no_classes() -> None:
    data = {"source": "csv", "path": "prices.csv"}
    spec = build_spec({"name": "prices", "data": data, "loss": {"name": "mse"}})
    figures = Evaluation({"mae": 1.0, "rmse": 2.0, "r2": 0.5}, QUANTITIES, QUANTITIES)
    card = write_model_card(spec, dataset("regression"), "run2", figures, figures)
    assert "- Task: regression of `price`" in card
    assert "| r2 | 0.5000 | 0.5000 |\n| rmse | 2.0000 | 2.0000 |\n\nRaw feature values" in card
    assert "lass" not in card


@pytest.mark.parametrize(("steps", "heading"), [(3, "step ahead"), (50, "step ahead (the first 48 of 50)")])
def test_the_card_of_a_forecaster_tells_its_errors_by_step(steps: int, heading: str) -> None:
    spec = build_spec({"data": {"source": "csv", "path": "load.csv"}, "loss": {"name": "mse"}})
    truth = np.zeros((4, steps, 2))
    figures = Evaluation({"r2": 0.5}, truth, truth + np.arange(1.0, steps + 1)[:, None])
    card = write_model_card(spec, dataset("regression"), "run4", figures, figures)
    assert f"| {heading} | test MAE | test RMSE |\n| --- | --- | --- |\n| 1 | 1 | 1 |\n| 2 | 2 | 2 |\n" in card
    assert card.count("\n| ") == 2 + 1 + 2 + min(steps, 48)


def test_the_card_tells_which_variant_is_served() -> None:
    figures = Evaluation({"accuracy": 1.0}, TRUTH, PREDICTED)
    card = write_model_card(build_spec({}), dataset("classification"), "run3", figures, figures, "int8 is served: fine")
    assert "- Variant: int8 is served: fine\n- Trained by run" in card
