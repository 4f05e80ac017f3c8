"""From an exported graph to the candidate that is served."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.errors import PackageError
from pipelines.evaluation.metrics import evaluate
from pipelines.export.graph import build_predictor, export_onnx, predict
from pipelines.models.network import build_network
from pipelines.spec.model import Mlp
from pipelines.spec.registry import Registry
from pipelines.variants import Candidate, choose_variant
from tests.unit.pipelines.export.datasets import dataset

DATA = dataset((6,))


@pytest.fixture(scope="module")
def fp32() -> Candidate:
    predictor = build_predictor(build_network(Mlp(), (6,), DATA.num_outputs, 1), DATA)
    answers = predict(predictor, DATA.test.features)
    figures = evaluate(DATA, DATA.test, answers)
    return Candidate(export_onnx(predictor, (6,)), figures, figures, answers)


def test_without_a_wish_the_exported_graph_is_served(fp32: Candidate) -> None:
    assert choose_variant(Registry(), DATA, fp32) is fp32


def test_a_variant_comes_with_its_own_figures_and_answers(fp32: Candidate) -> None:
    served = choose_variant(Registry(variant="int8", variant_tolerance=1), DATA, fp32)
    assert (served.variant, served.check is not None) == ("int8", True)
    assert served.graph.ByteSize() < fp32.graph.ByteSize()
    assert not np.array_equal(served.answers["probabilities"], fp32.answers["probabilities"])
    assert served.validation.metrics == evaluate(DATA, DATA.test, served.answers).metrics
    assert served.test.metrics == served.validation.metrics, "the parts of this dataset are the same"


def test_an_export_that_answers_otherwise_than_torch_is_refused(fp32: Candidate) -> None:
    answers = {name: array[::-1] for name, array in fp32.answers.items()}
    with pytest.raises(PackageError, match="golden rows"):
        choose_variant(Registry(variant="bf16"), DATA, replace(fp32, answers=answers))


def test_a_graph_that_does_not_run_is_refused(fp32: Candidate) -> None:
    narrow = dataset((5,))
    with pytest.raises(PackageError, match="does not run"):
        choose_variant(Registry(variant="bf16"), narrow, fp32)
