"""One loaded version: an onnxruntime session that agrees with its manifest. onnxruntime's errors end here."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipelines.errors import PackageError
from pipelines.registry.manifest import Datatype, Tensor
from pipelines.registry.package import Arrays, Package
from pipelines.registry.texts import GraphInputs, in_graph
from services.prediction.errors import InferenceFailedError

ORT_DATATYPES: Mapping[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class LoadedModel:
    """A session with its manifest; `run` may be called from any thread."""

    def __init__(self, name: str, version: str, package: Package, threads: int) -> None:
        self.name, self.version, self.manifest = name, version, package.manifest
        self._session = _open_session(package.model, threads)
        self.inputs = self.manifest.inputs
        self._graph_inputs = GraphInputs(self.inputs)
        self._output_names = [tensor.name for tensor in self.manifest.outputs]

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.generic]]:
        """The outputs by name for `(rows, ...)` inputs. Raises InferenceFailedError, also if rows are lost."""
        try:
            outputs = self._session.run(self._output_names, self._graph_inputs(inputs))
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no other base
            raise InferenceFailedError(self.name, self.version, str(error)) from None  # a traceback would quote values
        num_rows = next(iter(inputs.values())).shape[0]
        for name, output in zip(self._output_names, outputs, strict=True):
            if output.shape[:1] != (num_rows,):
                reason = f"{num_rows} rows went in, output {name!r} is {list(output.shape)}"
                raise InferenceFailedError(self.name, self.version, reason)
        return dict(zip(self._output_names, outputs, strict=True))

    def check_graph(self) -> None:
        """Raise PackageError unless the graph's inputs and outputs are the manifest's."""
        _check_tensors("input", [in_graph(tensor) for tensor in self.manifest.inputs], self._session.get_inputs())
        _check_tensors("output", self.manifest.outputs, self._session.get_outputs())


def load(name: str, version: str, package: Package, threads: int, max_batch_size: int) -> LoadedModel:
    """Open, check, warm up and replay the golden rows; only what passes all of it is returned.

    Raises PackageError with the reason.
    """
    model = LoadedModel(name, version, package, threads)
    model.check_graph()
    try:
        outputs = model.run(package.golden.inputs)
    except InferenceFailedError as error:
        raise PackageError(f"golden rows: {error.reason}") from error
    package.golden.check(outputs, package.manifest.variant)
    _warm_up(model, package.golden.inputs, sorted({1, 2, max_batch_size}))
    return model


def _warm_up(model: LoadedModel, rows: Arrays, batch_sizes: Sequence[int]) -> None:
    """Run real rows at sizes that the golden rows need not have: also finds a batch axis that is frozen inside."""
    for size in batch_sizes:
        batch = {name: array[np.arange(size) % len(array)] for name, array in rows.items()}
        try:
            model.run(batch)
        except InferenceFailedError as error:
            raise PackageError(f"a batch of {size} rows: {error.reason}") from error


def providers(available: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
    """What runs the graph, best first: CUDA where onnxruntime's build for it is installed, in full FP32 precision."""
    cuda = "CUDAExecutionProvider"
    preferred: list[str | tuple[str, dict[str, str]]] = [(cuda, {"use_tf32": "0"})] if cuda in available else []
    return [*preferred, "CPUExecutionProvider"]


def _open_session(content: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # errors are raised, and logged by us
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    options.add_session_config_entry("session.load_model_format", "ONNX")  # and not onnxruntime's own
    # Weights outside the graph would be looked for in the working directory: let it be where no file can lie.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=providers(onnxruntime.get_available_providers())
        )
    except Exception as error:  # onnxruntime's errors share no other base
        raise PackageError(f"the graph cannot be opened: {error}") from error


def _check_tensors(side: str, expected: Sequence[Tensor], came: Sequence[Any]) -> None:
    names = [tensor.name for tensor in expected]
    graph = {argument.name: argument for argument in came}
    if set(names) != set(graph):
        raise PackageError(f"the manifest lists the {side}s {sorted(names)}, the graph has {sorted(graph)}")
    for tensor in expected:
        datatype, shape = ORT_DATATYPES.get(graph[tensor.name].type), graph[tensor.name].shape
        if datatype != tensor.datatype:
            raise PackageError(f"{side} {tensor.name!r} is {tensor.datatype} in the manifest, {datatype} in the graph")
        if tensor.shape[0] != -1 or not _same_shape(tensor.shape, shape):
            raise PackageError(
                f"{side} {tensor.name!r} is {list(tensor.shape)} in the manifest, {shape} in the graph;"
                " expected the same, with -1 (a name in the graph) for the batch"
            )


def _same_shape(manifest: Sequence[int], graph: Sequence[int | str | None]) -> bool:
    """Dynamic axes are -1 in a manifest, a name or None in a graph. The manifest may fix what the graph leaves open."""
    if len(manifest) != len(graph):
        return False
    return all(
        not isinstance(in_graph, int) or in_graph == ours for ours, in_graph in zip(manifest, graph, strict=True)
    )
