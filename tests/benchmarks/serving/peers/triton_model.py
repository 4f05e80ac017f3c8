"""Runs inside Triton's Python backend: the graph in onnxruntime, one run for all requests of a dynamic batch."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What the backend looks for by this name."""

    def initialize(self, _: dict[str, str]) -> None:
        """Open the graph that lies beside this file, on one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = Path(__file__).with_name("model.onnx")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Join the rows, run once, split the answers."""
        inputs = [triton.get_input_tensor_by_name(request, self._input).as_numpy() for request in requests]
        rows = inputs[0] if len(inputs) == 1 else np.concatenate(inputs)
        answers = self._session.run(self._outputs, {self._input: rows})
        responses, start = [], 0
        for each in inputs:
            end = start + len(each)
            tensors = [triton.Tensor(n, a[start:end]) for n, a in zip(self._outputs, answers, strict=True)]
            responses.append(triton.InferenceResponse(output_tensors=tensors))
            start = end
        return responses
