"""What is written for the peers, and how a peer that cannot be set up is told."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.registry.package import Golden
from tests.benchmarks.environments import SetUpError, environment
from tests.benchmarks.serving.checker import in_shape, read_outputs
from tests.benchmarks.serving.models import Model
from tests.benchmarks.serving.peers.own import canned_answer
from tests.benchmarks.serving.peers.triton import model_config
from tests.unit.prediction.graphs import GOLDEN_ROWS, golden, manifest


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model("kinds", "3", tmp_path, tmp_path, manifest("kinds"), golden(1.0))


def test_triton_is_told_the_manifest_without_the_axis_of_the_batch(model: Model) -> None:
    config = model_config(model, instances=2)
    assert 'input [{ name: "features" data_type: TYPE_FP32 dims: [ 3 ] }]' in config
    assert '{ name: "probabilities" data_type: TYPE_FP32 dims: [ 2 ] }' in config
    assert '{ name: "class_index" data_type: TYPE_INT64 dims: [ 1 ] reshape { shape: [] } }' in config
    assert "count: 2" in config


def test_a_request_carries_one_golden_row(model: Model) -> None:
    request = model.request(1)
    assert list(request.inputs[0].shape) == [1, 3]
    assert request.raw_input_contents[0] == GOLDEN_ROWS[1:2].tobytes()


def test_the_canned_answer_is_what_torch_said_of_the_first_row(model: Model) -> None:
    answer = canned_answer(model)
    assert (answer.model_name, answer.model_version) == ("kinds", "3")
    model.expected(0).check(read_outputs(answer))


def test_answers_with_an_axis_more_are_compared_by_their_values() -> None:
    expected = Golden({}, {"class_index": np.array([4])})
    expected.check(in_shape({"class_index": np.array([[4]])}, expected.outputs))


def test_an_environment_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("not a requirement\n")
    with pytest.raises(SetUpError, match="pip install"):
        environment(tmp_path / "environment", requirements)
    assert not (tmp_path / "environment" / "installed").exists()
