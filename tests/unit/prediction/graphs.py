"""Tiny classifiers whose weights tell which one answered.

The graph multiplies three features with `WEIGHTS * scale` and takes the softmax. It also loops as many times as its
largest value says (about 0.7 s for a million), so that a request can be made to take its time, and from two million on
it reads beyond the end of a list, so that a request can be made to fail.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipelines.registry.manifest import Manifest, Tensor
from pipelines.registry.package import Golden, Package

WEIGHTS = np.array([[0.5, -0.25], [0.125, 0.25], [-0.5, 0.75]], np.float32)
FEATURES = Tensor(name="features", datatype="FP32", shape=(-1, 3))
PROBABILITIES = Tensor(name="probabilities", datatype="FP32", shape=(-1, 2))
CLASS_INDEX = Tensor(name="class_index", datatype="INT64", shape=(-1,))
GOLDEN_ROWS = np.array([[0.1, 0.2, 0.3], [-1.0, 0.5, 0.25], [0.75, -0.5, 0.0]], np.float32)
SLOW, FATAL = 1_000_000.0, 2_000_000.0

FloatArray = NDArray[np.float32]


def probabilities(features: FloatArray, scale: float) -> FloatArray:
    """What the classifier of that scale answers: softmax(features · WEIGHTS · scale), `(rows, 2)`."""
    logits = features @ (WEIGHTS * np.float32(scale))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def manifest(model: str) -> Manifest:
    """A manifest for the classifier; `seal` adds the files."""
    return Manifest(
        model=model,
        task="classification",
        inputs=(FEATURES,),
        outputs=(PROBABILITIES, CLASS_INDEX),
        feature_names=("a", "b", "c"),
        target="kind",
        labels=("no", "yes"),
        run_id="",
        dataset_digest="d1g35t",
        files={},
    )


def classifier(scale: float, batch: str | int = "batch", loops: int = 1) -> onnx.ModelProto:
    """The graph; an integer `batch` freezes the batch axis. It loops `loops` times for each 1 of the largest value."""
    count = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "one"], ["next_sum"])],
        "count",
        [
            _value("step", TensorProto.INT64, []),
            _value("go", TensorProto.BOOL, []),
            _value("sum", TensorProto.FLOAT, []),
        ],
        [_value("go_on", TensorProto.BOOL, []), _value("next_sum", TensorProto.FLOAT, [])],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    nodes = [
        helper.make_node("ReduceMax", ["features"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["steps"], to=TensorProto.INT64),
        helper.make_node("Div", ["steps", "two_million"], ["index"]),
        helper.make_node("Gather", ["no_steps", "index"], ["more_steps"]),
        helper.make_node("Add", ["steps", "more_steps"], ["some_steps"]),
        helper.make_node("Mul", ["some_steps", "loops"], ["all_steps"]),
        helper.make_node("Loop", ["all_steps", "true", "zero"], ["counted"], body=count),
        helper.make_node("Mul", ["counted", "zero"], ["nothing"]),
        helper.make_node("MatMul", ["features", "weights"], ["scores"]),
        helper.make_node("Add", ["scores", "nothing"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["class_index"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [_value("features", TensorProto.FLOAT, [batch, 3])],
        [_value("probabilities", TensorProto.FLOAT, [batch, 2]), _value("class_index", TensorProto.INT64, [batch])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [3, 2], (WEIGHTS * scale).ravel().tolist()),
            helper.make_tensor("two_million", TensorProto.INT64, [], [int(FATAL)]),
            helper.make_tensor("no_steps", TensorProto.INT64, [1], [0]),
            helper.make_tensor("loops", TensorProto.INT64, [], [loops]),
            helper.make_tensor("true", TensorProto.BOOL, [], [True]),
            helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def plain_classifier(scale: float) -> onnx.ModelProto:
    """The same without loop and failure: it answers any values, also those that are no numbers."""
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["class_index"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "plain_classifier",
        [_value("features", TensorProto.FLOAT, ["batch", 3])],
        [_value("probabilities", TensorProto.FLOAT, ["batch", 2]), _value("class_index", TensorProto.INT64, ["batch"])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [3, 2], (WEIGHTS * scale).ravel().tolist())],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def golden(scale: float) -> Golden:
    """Golden rows as the classifier of that scale answers them."""
    outputs = probabilities(GOLDEN_ROWS, scale)
    return Golden({"features": GOLDEN_ROWS}, {"probabilities": outputs, "class_index": outputs.argmax(axis=1)})


def package(model: str, scale: float = 1.0) -> Package:
    """The classifier of that scale as it comes out of the registry."""
    return Package(manifest(model), classifier(scale).SerializeToString(), golden(scale))


def _value(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
