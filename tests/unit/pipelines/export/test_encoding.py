"""Columns in, answers out: the graph encodes as numpy does."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.data.encoding import Columns, Encoding
from pipelines.data.scaling import Scaling
from pipelines.export.encoding import with_encoding
from pipelines.export.graph import build_predictor, contract, export_onnx, predict
from pipelines.export.quantization import to_bf16, to_int8
from pipelines.models.network import build_network
from pipelines.registry.manifest import Tensor
from pipelines.spec.model import Mlp

RANDOM = np.random.default_rng(0)
LETTERS = ("x", "ä", "a b", "")


def columns(rows: int, letters: tuple[str, ...] = LETTERS) -> dict[str, NDArray[np.generic]]:
    """Columns whose names are those of other things in graphs."""
    weight = (RANDOM.standard_normal((rows, 1)) * 4 + 10).astype(np.float32)
    weight[::5] = np.nan
    return {
        "linear": weight,
        "features": np.array(letters, object)[RANDOM.integers(0, len(letters), (rows, 1))],
        "relu": (RANDOM.standard_normal((rows, 1)) * 100).astype(np.float32),
    }


def dataset(*, impute: bool = True) -> Dataset:
    raw = columns(80)
    encoding = Encoding.fit(raw, impute=impute)
    part = Rows(encoding.apply(raw), np.arange(80) % 3, raw)
    return Dataset(
        train=part,
        validation=part,
        test=part,
        task="classification",
        features=Scaling.fit(part.features).only(encoding.measured),
        target=Scaling.identity(),
        labels=("a", "b", "c"),
        feature_names=tuple(raw),
        target_name="target",
        origin="a test",
        digest="d1g35t",
        encoding=encoding,
    )


DATA = dataset()
PREDICTOR = build_predictor(build_network(Mlp(), DATA.row_shape, 3, 1), DATA)
GRAPH = with_encoding(export_onnx(PREDICTOR, DATA.row_shape), DATA.encoding)
SESSION = onnxruntime.InferenceSession(GRAPH.SerializeToString())


def check(rows: Columns) -> None:
    expected = predict(PREDICTOR, DATA.encoding.apply(rows))
    probabilities, classes = SESSION.run(["probabilities", "class_index"], dict(rows))
    np.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(classes, expected["class_index"])


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
def test_the_graph_encodes_as_training_did(rows: int) -> None:
    check(columns(rows))


def test_the_graph_takes_what_training_never_saw() -> None:
    check(columns(9, ("unheard of", "x ", "X", "日本")))
    check(columns(3) | {"relu": np.full((3, 1), np.nan, np.float32)})


def test_the_contract_is_the_graphs() -> None:
    inputs, _ = contract(DATA)
    assert inputs == (
        Tensor(name="linear", datatype="FP32", shape=(-1, 1)),
        Tensor(name="features", datatype="BYTES", shape=(-1, 1)),
        Tensor(name="relu", datatype="FP32", shape=(-1, 1)),
    )
    types = {"FP32": "tensor(float)", "BYTES": "tensor(string)"}
    came = [(each.name, each.type, each.shape[1:]) for each in SESSION.get_inputs()]
    assert came == [(tensor.name, types[tensor.datatype], [1]) for tensor in inputs]


def test_numbers_that_may_not_be_missing_go_straight_in() -> None:
    raw = {"n": np.ones((4, 1), np.float32), "c": np.array([["a"], ["b"]] * 2, object)}
    encoding = Encoding.fit(raw, impute=False)
    operators = {node.op_type for node in with_encoding(export_onnx(PREDICTOR, DATA.row_shape), encoding).graph.node}
    assert {"LabelEncoder", "Concat"} <= operators
    assert not {"IsNaN", "Where"} & operators


def test_without_columns_a_graph_is_as_it_was() -> None:
    graph = export_onnx(PREDICTOR, DATA.row_shape)
    assert with_encoding(graph, Encoding()) is graph


@pytest.mark.parametrize("variant", ["int8", "bf16"])
def test_a_smaller_variant_takes_columns_too(variant: str) -> None:
    made = to_int8(GRAPH, DATA.train.inputs) if variant == "int8" else to_bf16(GRAPH)
    rows = columns(20)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (probabilities,) = session.run(["probabilities"], dict(rows))
    np.testing.assert_allclose(probabilities, predict(PREDICTOR, DATA.encoding.apply(rows))["probabilities"], atol=0.1)
