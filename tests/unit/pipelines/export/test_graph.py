"""The exported graph answers as torch does, at sizes that the export never saw."""

from itertools import product
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipelines.export.graph import build_predictor, contract, export_onnx, image_scale, predict
from pipelines.models.network import build_network, takes_any_length
from pipelines.registry.manifest import NUMPY_DTYPES, Image, Tensor
from pipelines.spec.objective import Task
from pipelines.spec_file import build_spec
from tests.unit.pipelines.export.datasets import dataset, rows

Model = dict[str, Any]
BATCHES = (1, 3, 7)
TIMES = (1, 5, 20)
TOLERANCE = 1e-4
"""Of a probability: the states of a relu cell grow with the steps, and the last bits of float32 with them."""
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu")

FEED_FORWARD: list[tuple[Model, tuple[int, ...]]] = [
    *(
        ({"family": "mlp", "hidden": hidden, "activation": a}, (6,))
        for a, hidden in product(ACTIVATIONS, ([9], [9, 5]))
    ),
    ({"family": "mlp", "hidden": []}, (6,)),
    ({"family": "mlp", "hidden": [9]}, (2, 3, 4)),
    *(
        ({"family": "cnn", "channels": channels, "hidden": [6], "activation": a}, (2, 8, 8))
        for a, channels in product(ACTIVATIONS, ([4], [4, 5]))
    ),
    *(({"family": "cnn", "blocks": [{"pooling": "average", "pool": 3}]}, row) for row in ((2, 8, 8), (8, 3))),
]
CELLS = (("vanilla", "tanh"), ("vanilla", "relu"), ("lstm", "tanh"), ("gru", "tanh"))
RECURRENT: list[Model] = [
    {
        "family": "rnn",
        "cell": cell,
        "activation": activation,
        "hidden_size": 8,
        "layers": layers,
        "bidirectional": bidirectional,
    }
    for (cell, activation), layers, bidirectional in product(CELLS, (1, 2), (False, True))
]
POOLED: list[Model] = [
    {"family": "cnn", "channels": [4, 5], "global_pooling": "max", "norm": "batch"},
    {"family": "cnn", "blocks": [{"residual": True, "stride": 2}], "global_pooling": "average", "norm": "layer"},
    {"family": "cnn", "blocks": [{"pooling": "average"}, {"pooling": "average", "pool": 3}], "global_pooling": "max"},
]


class Exported:
    """A network with first weights, in torch and in onnxruntime."""

    def __init__(
        self, model: Model, row_shape: tuple[int, ...], task: Task = "classification", with_lengths: bool = False
    ) -> None:
        self.dataset = dataset(row_shape, task)
        network = build_network(build_spec({"model": model}).model, row_shape, self.dataset.num_outputs, 1)
        self.predictor = build_predictor(network, self.dataset)
        graph = export_onnx(self.predictor, row_shape, with_lengths=with_lengths).SerializeToString()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def answer(self, features: NDArray[np.float32], **more: NDArray[Any]) -> dict[str, NDArray[Any]]:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {"features": features} | more), strict=True))

    def check_at(self, *shape: int) -> None:
        features = rows(*shape)
        answers, expected = self.answer(features), predict(self.predictor, features)
        assert list(answers) == list(expected)
        for name, array in expected.items():
            assert answers[name].shape == array.shape
            assert answers[name].dtype == array.dtype
        np.testing.assert_allclose(answers["probabilities"], expected["probabilities"], rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(answers["probabilities"].sum(axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(answers["class_index"], expected["class_index"])
        assert np.ptp(answers["probabilities"], axis=0).max() > 1e-3 or len(features) == 1  # rows do matter


@pytest.mark.parametrize(("model", "row_shape"), FEED_FORWARD)
def test_a_feed_forward_graph_equals_torch(model: Model, row_shape: tuple[int, ...]) -> None:
    exported = Exported(model, row_shape)
    for batch in BATCHES:
        exported.check_at(batch, *row_shape)


def named(model: Model) -> str:
    return "-".join(str(value) for key, value in model.items() if key != "blocks" or "pooling" in value[0])


@pytest.mark.parametrize("model", [*RECURRENT, *POOLED], ids=named)
def test_a_graph_of_series_equals_torch_at_any_length(model: Model) -> None:
    exported = Exported(model, (8, 3))
    for batch, time in product(BATCHES, TIMES):
        exported.check_at(batch, time, 3)


@pytest.mark.parametrize("model", [*RECURRENT, *POOLED], ids=named)
def test_padding_changes_nothing_in_a_graph_with_lengths(model: Model) -> None:
    exported, lengths = Exported(model, (8, 3), with_lengths=True), np.array([9, 1, 4, 7])
    features = rows(4, 9, 3)
    answers = exported.answer(features, lengths=lengths)["probabilities"]
    expected = predict(exported.predictor, features, lengths)["probabilities"]
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-5)
    for row, length, answer in zip(features, lengths, answers, strict=True):
        alone = predict(exported.predictor, row[None, :length])["probabilities"]
        np.testing.assert_allclose(answer[None], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "row_shape"), [({"family": "mlp"}, (6,)), ({"family": "rnn", "cell": "lstm", "hidden_size": 8}, (8, 3))]
)
def test_a_quantity_comes_out_in_its_own_units(model: Model, row_shape: tuple[int, ...]) -> None:
    exported = Exported(model, row_shape, "regression")
    features = rows(7, *row_shape)
    predicted = exported.answer(features)["prediction"]
    assert predicted.shape == (7, 1)
    np.testing.assert_allclose(predicted, predict(exported.predictor, features)["prediction"], rtol=1e-5)
    target = exported.dataset.target
    assert target.deviation[0] > 100
    scaled = (predicted - target.mean) / target.deviation
    assert np.abs(scaled).max() < 10


def test_a_regressor_undoes_the_scaling_of_its_target() -> None:
    data = dataset((6,), "regression")
    network = build_network(build_spec({"model": {"family": "mlp", "hidden": []}}).model, (6,), 1, 0)
    for parameter in network.parameters():
        parameter.data.fill_(1.0)
    features = rows(5, 6)
    scaled = data.features.apply(features).sum(axis=1, keepdims=True) + 1
    expected = scaled * data.target.deviation + data.target.mean
    np.testing.assert_allclose(predict(build_predictor(network, data), features)["prediction"], expected, rtol=1e-5)


def test_a_classifier_standardises_and_takes_the_softmax() -> None:
    data = dataset((6,))
    network = build_network(build_spec({"model": {"family": "mlp", "hidden": []}}).model, (6,), 3, 0)
    weight, bias = (parameter.detach().numpy() for parameter in network.parameters())
    features = rows(5, 6)
    exponents = np.exp(data.features.apply(features) @ weight.T + bias)
    answers = predict(build_predictor(network, data), features)
    np.testing.assert_allclose(answers["probabilities"], exponents / exponents.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(answers["class_index"], exponents.argmax(axis=1))


def test_the_predictor_is_a_copy_of_its_own() -> None:
    network = build_network(build_spec({}).model, (6,), 3, 0).train()
    features = rows(4, 6)
    predictor = build_predictor(network, dataset((6,)))
    before = predict(predictor, features)["probabilities"]
    for parameter in network.parameters():
        parameter.data.zero_()
    np.testing.assert_array_equal(predict(predictor, features)["probabilities"], before)
    assert network.training
    assert not predictor.training


def test_many_rows_are_answered_in_order() -> None:
    predictor = build_predictor(build_network(build_spec({}).model, (6,), 3, 0), dataset((6,)))
    features = rows(2500, 6)
    answers = predict(predictor, features)
    assert {name: array.shape for name, array in answers.items()} == {
        "probabilities": (2500, 3),
        "class_index": (2500,),
    }
    last = predict(predictor, features[2400:])
    np.testing.assert_allclose(answers["probabilities"][2400:], last["probabilities"], atol=1e-6)


def described(node: Any) -> tuple[str, str, list[Any]]:  # noqa: ANN401 - onnxruntime is untyped
    return node.name, node.type, node.shape


def as_described(tensor: Tensor) -> tuple[str, np.dtype[Any], list[int]]:
    return tensor.name, NUMPY_DTYPES[tensor.datatype], list(tensor.shape)


RUNTIME_DTYPES = {"tensor(float)": np.dtype("<f4"), "tensor(int64)": np.dtype("<i8")}


@pytest.mark.parametrize(
    ("model", "row_shape", "task"),
    [
        ({"family": "mlp"}, (6,), "classification"),
        ({"family": "mlp"}, (6,), "regression"),
        ({"family": "cnn", "channels": [4]}, (2, 8, 8), "classification"),
        ({"family": "rnn", "hidden_size": 4}, (8, 3), "classification"),
        ({"family": "mlp"}, (8, 3), "classification"),
        ({"family": "cnn", "channels": [4]}, (8, 3), "classification"),
        (POOLED[0], (8, 3), "classification"),
    ],
)
def test_the_contract_is_the_graphs(model: Model, row_shape: tuple[int, ...], task: Task) -> None:
    exported = Exported(model, row_shape, task)
    for contracts, nodes in zip(
        contract(exported.dataset, takes_any_length(exported.predictor.network)),
        (exported.session.get_inputs(), exported.session.get_outputs()),
        strict=True,
    ):
        came = [
            (name, RUNTIME_DTYPES[kind], [-1 if isinstance(axis, str) else axis for axis in shape])
            for name, kind, shape in map(described, nodes)
        ]
        assert came == [as_described(tensor) for tensor in contracts]


def test_the_batch_and_time_axes_are_open() -> None:
    inputs, outputs = contract(dataset((8, 3)))
    assert inputs[0].shape == (-1, -1, 3)
    assert [output.shape for output in outputs] == [(-1, 3), (-1,)]
    assert contract(dataset((2, 8, 8)))[0][0].shape == (-1, 2, 8, 8)
    assert contract(dataset((8, 3)), any_length=False)[0][0].shape == (-1, 8, 3)


def test_the_length_of_training_is_told_where_any_is_taken() -> None:
    assert contract(dataset((8, 3)))[0][0].trained_steps == 8
    assert contract(dataset((8, 3)), any_length=False)[0][0].trained_steps is None
    assert contract(dataset((2, 8, 8)))[0][0].trained_steps is None


@pytest.mark.parametrize(
    ("brightest", "channels", "white"),
    [
        (1.0, 3, 1),
        (0.5, 1, 1),
        (255, 3, 255),
        (200, 1, 255),
        (16, 1, None),
        (200.5, 1, None),
        (256, 1, None),
        (1, 2, None),
    ],
)
def test_training_images_tell_how_bright_white_is_or_nothing(
    brightest: float, channels: int, white: float | None
) -> None:
    features = np.zeros((4, channels, 2, 2), np.float32)
    features[1, 0, 1, 1] = brightest
    assert image_scale(features) == (None if white is None else Image(white=white))


def test_what_goes_below_black_is_no_plain_image() -> None:
    features = np.zeros((4, 1, 2, 2), np.float32)
    features[0, 0, 0] = -1, 1
    assert image_scale(features) is None
    assert image_scale(np.zeros((4, 6), np.float32)) is None
    assert image_scale(np.zeros((4, 1, 2, 2), np.float32)) is None, "all black tells nothing"
