"""The INT8 and BF16 variants answer nearly as the graph that they were made of, whatever the batch and the time."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.scaling import Scaling
from pipelines.export.graph import build_predictor, export_onnx
from pipelines.export.quantization import to_bf16, to_int8
from pipelines.models.network import build_network, example_steps
from pipelines.models.texts import Padded
from pipelines.spec.objective import Task
from pipelines.spec_file import build_spec
from tests.unit.pipelines.export.datasets import dataset, rows

Model = dict[str, Any]
Shape = tuple[int, ...]
ACTIVATIONS = ("sigmoid", "tanh", "relu")
CELLS = (("vanilla", "tanh"), ("vanilla", "relu"), ("lstm", "tanh"), ("gru", "tanh"))
NETWORKS: list[tuple[Model, Shape]] = [
    *(({"family": "mlp", "hidden": [128, 64], "activation": a}, (40,)) for a in ACTIVATIONS),
    *(({"family": "cnn", "channels": [16, 32], "hidden": [64], "activation": a}, (2, 8, 8)) for a in ACTIVATIONS),
    *(({"family": "rnn", "cell": c, "activation": a, "hidden_size": 64, "layers": 2}, (8, 16)) for c, a in CELLS),
]
AVERAGED: Model = {"family": "cnn", "blocks": [{"pooling": "average"}], "global_pooling": "average"}
LARGEST_DIFFERENCE = {"int8": 0.08, "bf16": 0.01}
"""Of a probability: first weights leave classes close together."""
LARGEST_SHARE_OF_BYTES = {"int8": 0.6, "bf16": 0.7}
"""Of weights this small, the graph around them and the biases weigh a good part."""

Make = Callable[[onnx.ModelProto, Dataset], onnx.ModelProto]
VARIANTS: dict[str, Make] = {
    "int8": lambda graph, data: to_int8(graph, data.train.inputs),
    "bf16": lambda graph, _: to_bf16(graph),
}


def exported(model: Model, row_shape: Shape, task: Task = "classification") -> tuple[onnx.ModelProto, Dataset]:
    return _exported(json.dumps(model), row_shape, task)


@cache
def _exported(model: str, row_shape: Shape, task: Task) -> tuple[onnx.ModelProto, Dataset]:
    """No test changes the graph, which takes a second or more to export."""
    data = dataset(row_shape, task)
    network = build_network(build_spec({"model": json.loads(model)}).model, row_shape, data.num_outputs, 1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:  # a bias, which begins at 0
                parameter.copy_(torch.linspace(-0.3, 0.3, len(parameter)))
    return export_onnx(build_predictor(network, data), row_shape), data


def answer(graph: onnx.ModelProto, features: NDArray[Any]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"features": features}))


def operators(graph: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in graph.graph.node]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("model", "row_shape"), NETWORKS, ids=str)
def test_a_variant_is_smaller_and_nearly_equal(variant: str, model: Model, row_shape: Shape) -> None:
    graph, data = exported(model, row_shape)
    before = graph.SerializeToString()
    made = VARIANTS[variant](graph, data)
    assert graph.SerializeToString() == before
    assert made.ByteSize() < LARGEST_SHARE_OF_BYTES[variant] * graph.ByteSize()
    times = (5, 20) if model["family"] == "rnn" else (row_shape[0],)
    for batch, time in product((1, 7), times):
        features = rows(batch, time, *row_shape[1:])
        probabilities, class_index = answer(made, features)
        np.testing.assert_allclose(probabilities, answer(graph, features)[0], atol=LARGEST_DIFFERENCE[variant])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(class_index, probabilities.argmax(axis=1))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "model", [{"family": "rnn", "bidirectional": True}, {"family": "cnn", "global_pooling": "max"}, AVERAGED]
)
def test_an_embedding_is_stored_smaller_too(variant: str, model: Model) -> None:
    words, random = 3000, np.random.default_rng(0)
    tokens = random.integers(1, words, (60, 9))
    tokens[::2, 5:] = 0
    base = dataset((9,))
    data = replace(base, features=Scaling.identity(), train=replace(base.train, features=tokens))
    network = build_network(build_spec({"model": model}).model, (9,), data.num_outputs, 1, vocabulary=words)
    graph = export_onnx(build_predictor(Padded(network, example_steps(network)), data), (9,))
    made = VARIANTS[variant](graph, data)
    assert made.ByteSize() < {"int8": 0.4, "bf16": 0.6}[variant] * graph.ByteSize()
    assert operators(made).count("Gather") == operators(graph).count("Gather")
    for batch, steps in ((1, 1), (7, 20)):
        asked = random.integers(1, words, (batch, steps))
        expected, came = answer(graph, asked)[0], answer(made, asked)[0]
        np.testing.assert_allclose(came, expected, atol=LARGEST_DIFFERENCE[variant])
        assert np.abs(came - expected).max() > 0


@pytest.mark.parametrize("model", [{"family": "rnn", "cell": "lstm"}, {"family": "cnn", "global_pooling": "max"}])
def test_series_of_different_lengths_have_variants(model: Model) -> None:
    base = dataset((8, 3))
    lengths = np.random.default_rng(0).integers(1, 9, len(base.train))
    data = replace(base, train=replace(base.train, lengths=lengths))
    network = build_network(build_spec({"model": model}).model, (8, 3), data.num_outputs, 1)
    graph = export_onnx(build_predictor(network, data), (8, 3), with_lengths=True)
    features = rows(5, 12, 3)
    asked = {"features": features, "lengths": np.array([12, 1, 5, 9, 3])}
    for made in (to_int8(graph, data.train.inputs), to_bf16(graph)):
        sessions = [onnxruntime.InferenceSession(each.SerializeToString()) for each in (graph, made)]
        expected, came = (session.run(["probabilities"], asked)[0] for session in sessions)
        np.testing.assert_allclose(came, expected, atol=0.08)


@pytest.mark.parametrize(("model", "row_shape"), [NETWORKS[2], NETWORKS[5], NETWORKS[8]], ids=str)
def test_no_row_of_a_batch_changes_the_answer_of_another(model: Model, row_shape: Shape) -> None:
    graph, data = exported(model, row_shape)
    made = to_int8(graph, data.train.inputs)
    features = rows(3, *row_shape)
    features[1] *= 1000
    np.testing.assert_allclose(answer(made, features)[0][:1], answer(made, features[:1])[0], atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_quantity_keeps_its_unit(variant: str) -> None:
    graph, data = exported({"family": "mlp", "hidden": [32]}, (20,), "regression")
    made = VARIANTS[variant](graph, data)
    features = rows(9, 20)
    deviation = float(data.target.deviation[0])
    (expected,), (came,) = answer(graph, features), answer(made, features)
    np.testing.assert_allclose(came, expected, atol=0.1 * deviation)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_linear_model_has_variants_too(variant: str) -> None:
    graph, data = exported({"family": "mlp", "hidden": []}, (20,))
    made = VARIANTS[variant](graph, data)
    np.testing.assert_allclose(answer(made, rows(3, 20))[0].sum(axis=1), 1, atol=1e-6)


def test_standardisation_and_softmax_stay_fp32() -> None:
    graph, data = exported(*NETWORKS[5])
    made = to_int8(graph, data.train.inputs)
    assert operators(made)[-2:] == ["Softmax", "ArgMax"]
    integers = {name for node in made.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    for node in made.graph.node:
        if node.op_type in ("Sub", "Div", "Softmax"):
            assert not integers & set(node.input), node.op_type
        if node.op_type in ("Conv", "Gemm"):
            assert set(node.input[:2]) <= integers, node.op_type


def test_recurrent_arithmetic_stays_fp32() -> None:
    graph, data = exported(*NETWORKS[8])
    made = to_int8(graph, data.train.inputs)
    assert operators(made).count("LSTM") == 2
    sources = {name: node for node in made.graph.node for name in node.output}
    for node in (each for each in made.graph.node if each.op_type == "LSTM"):
        assert [sources[name].op_type for name in node.input[1:3]] == ["DequantizeLinear", "DequantizeLinear"]


def test_bf16_rounds_to_the_nearest() -> None:
    graph, _ = exported({"family": "mlp", "hidden": []}, (20,))
    weights = [each for each in to_bf16(graph).graph.initializer if each.data_type == onnx.TensorProto.BFLOAT16]
    originals = {each.name: onnx.numpy_helper.to_array(each) for each in graph.graph.initializer}
    assert [each.name.removesuffix("_bf16") for each in weights] == ["network.1.weight"]
    expected = torch.from_numpy(originals["network.1.weight"].copy()).to(torch.bfloat16).float().numpy()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weights[0]).astype(np.float32), expected)


def test_the_programs_logging_stays_as_it_was() -> None:
    graph, data = exported(*NETWORKS[0])
    handlers = list(logging.getLogger().handlers)
    to_int8(graph, data.train.inputs)
    assert logging.getLogger().handlers == handlers
