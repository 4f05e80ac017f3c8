"""Columns of numbers and names as inputs of the graph: what `pipelines.data.encoding` does, in ONNX's own operators."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipelines.data.dataset import INPUT
from pipelines.data.encoding import Category, Encoding, Quantity

ML_DOMAIN, ML_OPSET = "ai.onnx.ml", 3
"""ONNX's operators for classical models, where LabelEncoder is."""

_NETWORK = "network/"
"""Before every name inside of the network, so that a column may be called anything."""


def with_encoding(graph: onnx.ModelProto, encoding: Encoding) -> onnx.ModelProto:
    """The graph with an input a column (rows, 1) in place of `features`, which become a value inside of it.

    Without columns it is the same graph.
    """
    if not encoding.columns:
        return graph
    whole = onnx.compose.add_prefix(graph, _NETWORK, rename_inputs=True, rename_outputs=False)
    del whole.graph.input[:]
    nodes: list[onnx.NodeProto] = []
    parts: list[str] = []
    for number, column in enumerate(encoding.columns):
        kind = TensorProto.STRING if isinstance(column, Category) else TensorProto.FLOAT
        whole.graph.input.append(helper.make_tensor_value_info(column.name, kind, ["batch", 1]))
        steps = _Steps(whole, f"encoding/{number}/")
        parts += steps.category(column) if isinstance(column, Category) else steps.quantity(column)
        nodes += steps.nodes
    nodes.append(helper.make_node("Concat", parts, [f"{_NETWORK}{INPUT}"], axis=1))
    for position, node in enumerate(nodes):
        whole.graph.node.insert(position, node)
    whole.opset_import.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
    onnx.checker.check_model(whole)
    return whole


class _Steps:
    """The nodes of one column; each method returns the names of the features."""

    def __init__(self, graph: onnx.ModelProto, prefix: str) -> None:
        self._graph, self._prefix = graph, prefix
        self.nodes: list[onnx.NodeProto] = []

    def quantity(self, column: Quantity) -> Iterator[str]:
        if column.median is None:
            yield column.name
            return
        missing = self._add("IsNaN", [column.name], "missing")
        median = self._constant(np.array(column.median, np.float32), "median")
        yield self._add("Where", [missing, median, column.name], "filled")
        if column.marked:
            yield self._add("Cast", [missing], "mark", to=TensorProto.FLOAT)

    def category(self, column: Category) -> Iterator[str]:
        positions = np.arange(len(column.values))
        encode = {"keys_strings": column.values, "values_int64s": positions, "default_int64": -1, "domain": ML_DOMAIN}
        found = self._add("LabelEncoder", [column.name], "position", **encode)
        is_each = self._add("Equal", [found, self._constant(positions, "positions")], "is_each")
        yield self._add("Cast", [is_each], "features", to=TensorProto.FLOAT)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - of any kind that ONNX knows
        name = f"{self._prefix}{output}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def _constant(self, value: np.ndarray, name: str) -> str:
        self._graph.graph.initializer.append(numpy_helper.from_array(value, f"{self._prefix}{name}"))
        return f"{self._prefix}{name}"
