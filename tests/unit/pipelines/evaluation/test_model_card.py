"""What a model card says."""

import numpy as np

from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.model_card import write_model_card
from pipelines.spec_file import build_spec
from tests.unit.pipelines.evaluation.outcomes import dataset

EMPTY = np.zeros(0)


def test_the_card_of_a_classifier() -> None:
    spec = build_spec({"name": "animals", "seed": 3, "data": {"source": "csv", "path": "animals.csv"}})
    validation = Evaluation({"loss": 0.25, "accuracy": 0.9}, EMPTY, EMPTY)
    test = Evaluation({"loss": 0.5, "accuracy": 0.87654}, EMPTY, EMPTY)
    assert write_model_card(spec, dataset("classification"), "run1", validation, test).splitlines()[:13] == [
        "# animals",
        "",
        "- Task: classification of `animal`",
        "- Network: mlp, rows shaped [2]",
        "- Data: animals.csv (digest `0123456789abcdef`), 10 training, 5 validation and 6 test rows",
        "- Classes: cat, dog, eel",
        "- Trained by run `run1`, seed 3",
        "",
        "| metric | validation | test |",
        "|---|---|---|",
        "| accuracy | 0.9000 | 0.8765 |",
        "| loss | 0.2500 | 0.5000 |",
        "",
    ]


def test_the_card_of_a_regressor_names_no_classes() -> None:
    data = {"source": "csv", "path": "prices.csv"}
    spec = build_spec({"name": "prices", "data": data, "loss": {"name": "mse"}})
    figures = Evaluation({"mae": 1.0, "rmse": 2.0, "r2": 0.5}, EMPTY, EMPTY)
    card = write_model_card(spec, dataset("regression"), "run2", figures, figures)
    assert "- Task: regression of `price`" in card
    assert "| r2 | 0.5000 | 0.5000 |" in card
    assert "Classes" not in card


def test_the_card_tells_which_variant_is_served() -> None:
    figures = Evaluation({"accuracy": 1.0}, EMPTY, EMPTY)
    card = write_model_card(build_spec({}), dataset("classification"), "run3", figures, figures, "int8 is served: fine")
    assert "- Variant: int8 is served: fine\n- Trained by run" in card
