"""Smaller variants of the served graph: weights as INT8 with calibrated INT8 arithmetic, or weights stored as BF16.

Only the network is changed: standardisation, softmax and de-scaling stay FP32, as do biases and recurrent arithmetic.
Scales are fixed by calibration and not measured in each batch, or a row's answer would depend on its neighbours.
"""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from pipelines.registry.package import Arrays

CALIBRATION_ROWS = 512
_ROWS_A_PASS = 64
_RECURRENT = ("RNN", "LSTM", "GRU")
_PRODUCTS = ("Gemm", "MatMul")
_LOOKED_UP = "Gather"
"""What takes the vectors of tokens out of an embedding."""
_INTEGER = ("Conv", *_PRODUCTS, "Relu", "MaxPool", "Reshape")
"""What may be computed in INT8; the products' results stay FP32, so that close logits stay apart."""


def to_int8(graph: onnx.ModelProto, rows: Arrays) -> onnx.ModelProto:
    """The graph with INT8 weights, a scale for each output channel.

    Convolutions and matrix products are computed in INT8, their inputs scaled to the ranges that raw training `rows`
    (N, ...) by input name show. Recurrent operators have no such form: their weights become FP32 when they are used,
    as the vectors of an embedding do.
    """
    prepared = copy.deepcopy(graph)
    add_pre_process_metadata(prepared)  # the exporter has optimised the graph: no advice to do so
    with TemporaryDirectory() as folder, _quiet():
        quantize_static(
            prepared,
            str(Path(folder) / "int8.onnx"),
            _CalibrationRows(rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_integer_operators(prepared),
            per_channel=True,
            reduce_range=True,  # 7 bits: without VNNI the sums of 8 bits saturate, and answers depend on the CPU
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibration_providers=["CPUExecutionProvider"],
            extra_options={"OpTypesToExcludeOutputQuantization": list(_PRODUCTS)},
        )
        quantized = onnx.load(str(Path(folder) / "int8.onnx"))
    for name in _weights(quantized, _RECURRENT):
        _store_as_int8(quantized, name)
    for name in _weights(quantized, (_LOOKED_UP,)):
        _look_up_int8(quantized, name)
    onnx.checker.check_model(quantized)
    return quantized


def to_bf16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with weights stored as BF16, rounded to the nearest, ties to even; they become FP32 when it is loaded.

    onnxruntime's CPU kernels for these operators know no BF16: it halves the file, neither memory nor time.
    """
    stored = copy.deepcopy(graph)
    for name in _weights(stored, ("Conv", *_PRODUCTS, *_RECURRENT, _LOOKED_UP)):
        weight = _take(stored, name)
        bits = np.ascontiguousarray(weight, "<f4").view("<u4")
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        half = helper.make_tensor(f"{name}_bf16", TensorProto.BFLOAT16, weight.shape, rounded.tobytes(), raw=True)
        stored.graph.initializer.append(half)
        stored.graph.node.insert(0, helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    onnx.checker.check_model(stored)
    return stored


class _CalibrationRows(CalibrationDataReader):  # type: ignore[misc] # onnxruntime is not typed
    """Rows from all over the training part, a batch at a time."""

    def __init__(self, rows: Arrays) -> None:
        num_rows = len(next(iter(rows.values())))
        chosen = np.arange(num_rows)[:: max(1, num_rows // CALIBRATION_ROWS)][:CALIBRATION_ROWS]
        parts = np.split(chosen, range(_ROWS_A_PASS, len(chosen), _ROWS_A_PASS))
        self._batches = ({name: array[part] for name, array in rows.items()} for part in parts)

    def get_next(self) -> Arrays | None:
        """The next batch by input name; None after the last."""
        return next(self._batches, None)


def _integer_operators(graph: onnx.ModelProto) -> list[str]:
    """Without max pooling where rows are filled up with -∞ before it, which no scale of integers has."""
    floats = (each for each in graph.graph.initializer if each.data_type == TensorProto.FLOAT)
    if any(np.isneginf(numpy_helper.to_array(each)).any() for each in floats):
        return [each for each in _INTEGER if each != "MaxPool"]
    return list(_INTEGER)


def _weights(graph: onnx.ModelProto, operators: tuple[str, ...]) -> list[str]:
    """The operators' FP32 weights, each once; a recurrent operator has two: of its input and of its state."""
    floats = {each.name for each in graph.graph.initializer if each.data_type == TensorProto.FLOAT}
    nodes = [node for node in graph.graph.node if node.op_type in operators]
    places = {_LOOKED_UP: slice(0, 1), **dict.fromkeys(_RECURRENT, slice(1, 3))}
    names = [name for node in nodes for name in node.input[places.get(node.op_type, slice(1, 2))]]
    return [name for name in dict.fromkeys(names) if name in floats]


def _store_as_int8(graph: onnx.ModelProto, name: str) -> None:
    """Store a recurrent weight (directions, gates × hidden, inputs) as INT8, a scale for each of its rows."""
    weight = _take(graph, name)
    scale = np.maximum(np.abs(weight).max(axis=(0, 2)), np.finfo(np.float32).tiny) / 127
    integers = np.rint(weight / scale[:, None]).astype(np.int8)
    inputs = {f"{name}_quantized": integers, f"{name}_scale": scale.astype(np.float32)}
    graph.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in inputs.items())
    graph.graph.node.insert(0, helper.make_node("DequantizeLinear", list(inputs), [name], axis=1))


def _look_up_int8(graph: onnx.ModelProto, name: str) -> None:
    """Store an embedding (tokens, size) as INT8, a scale for each column; only the vectors of a batch become FP32."""
    weight = _take(graph, name)
    scale = np.maximum(np.abs(weight).max(axis=0), np.finfo(np.float32).tiny) / 127
    inputs = {f"{name}_quantized": np.rint(weight / scale).astype(np.int8), f"{name}_scale": scale.astype(np.float32)}
    graph.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in inputs.items())
    at, node = next((at, each) for at, each in enumerate(graph.graph.node) if name in each.input)
    vectors, looked_up = node.output[0], f"{node.output[0]}_quantized"
    node.input[0], node.output[0] = f"{name}_quantized", looked_up
    made = helper.make_node("DequantizeLinear", [looked_up, f"{name}_scale"], [vectors], axis=-1)
    graph.graph.node.insert(at + 1, made)


def _take(graph: onnx.ModelProto, name: str) -> NDArray[np.float32]:
    """Remove an initializer, and return its values."""
    found = next(each for each in graph.graph.initializer if each.name == name)
    values = numpy_helper.to_array(found).copy()
    graph.graph.initializer.remove(found)
    return np.asarray(values, np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's tool logs with functions that would set up the program's logging, where there is none yet."""
    handler, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
