"""Recurrent layers as ONNX's own RNN, LSTM and GRU operators.

torch's exporter unrolls or freezes most recurrent layers at the example's length. So for the export each layer is
replaced by one opaque operator, whose translation is the ONNX operator: batch and time stay dynamic for every cell.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import FLOAT
from onnxscript import opset20 as op
from torch import Tensor, nn

OPSET = 20

# ONNX's order of the gates within a weight matrix, as indices into torch's order. Sources: the operators' definitions
# in the ONNX specification and the parameter descriptions of torch.nn.LSTM and torch.nn.GRU.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}


class OnnxRecurrence(nn.Module):
    """Stands in for a torch recurrent module during the export; it can be traced but not run."""

    def __init__(self, trained: nn.RNNBase) -> None:
        super().__init__()
        self.mode, self.hidden_size, self.num_layers = trained.mode, trained.hidden_size, trained.num_layers
        for layer in range(trained.num_layers):
            w, r, bias_w, bias_r = (
                self._in_onnx_order(getattr(trained, f"{name}_l{layer}"))
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            self.register_buffer(f"w{layer}", w)
            self.register_buffer(f"r{layer}", r)
            self.register_buffer(f"b{layer}", torch.cat([bias_w, bias_r], dim=1))

    def forward(self, x_BTF: Tensor) -> tuple[Tensor, None]:
        """(B, T, F) → (B, T, H), shaped like a torch recurrent module's result."""
        for layer in range(self.num_layers):
            w, r, b = (getattr(self, f"{name}{layer}") for name in "wrb")
            x_BTF = _recurrent_layer(x_BTF, w, r, b, self.mode, self.hidden_size)
        return x_BTF, None

    def _in_onnx_order(self, parameter: Tensor) -> Tensor:
        order = _GATES[self.mode]
        gates = parameter.detach().chunk(len(order))
        return torch.cat([gates[gate] for gate in order])[None]  # ONNX's leading axis is the direction


@torch.library.custom_op("drivetrain::recurrent_layer", mutates_args=())
def _recurrent_layer(x: Tensor, w: Tensor, r: Tensor, b: Tensor, mode: str, hidden_size: int) -> Tensor:
    raise NotImplementedError("exists for the export only")


@_recurrent_layer.register_fake
def _(x: Tensor, *parameters: Tensor | str | int) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], int(parameters[-1]))


def _to_onnx(x: FLOAT, w: FLOAT, r: FLOAT, b: FLOAT, mode: str, hidden_size: int) -> FLOAT:
    x_TBF = op.Transpose(x, perm=[1, 0, 2])
    match mode:
        case "LSTM":
            states, _, _ = op.LSTM(x_TBF, w, r, b, hidden_size=hidden_size)
        case "GRU":
            states, _ = op.GRU(x_TBF, w, r, b, hidden_size=hidden_size, linear_before_reset=1)
        case _:
            activation = {"RNN_TANH": "Tanh", "RNN_RELU": "Relu"}[mode]
            states, _ = op.RNN(x_TBF, w, r, b, hidden_size=hidden_size, activations=[activation])
    # (T, directions, B, H) → (B, T, H)
    return op.Reshape(op.Transpose(states, perm=[2, 0, 1, 3]), op.Constant(value_ints=[0, 0, -1]))  # type: ignore[arg-type] # typed as if for eager use


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.drivetrain.recurrent_layer.default: _to_onnx}
"""For `custom_translation_table` of torch.onnx.export."""
