"""Recurrent layers as ONNX's own RNN, LSTM and GRU operators.

torch's exporter unrolls or freezes most recurrent layers at the example's length. So for the export each layer is
replaced by one opaque operator, whose translation is the ONNX operator: batch and time stay dynamic for every cell,
and rows may have lengths, which ONNX calls sequence_lens.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import FLOAT, INT64
from onnxscript import opset20 as op
from torch import Tensor, nn

from pipelines.models.rnn import Recurrence

OPSET = 20

# ONNX's order of the gates within a weight matrix, as indices into torch's order. Sources: the operators' definitions
# in the ONNX specification and the parameter descriptions of torch.nn.LSTM and torch.nn.GRU.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN_TANH": (0,), "RNN_RELU": (0,)}

_INT32 = 6
"""ONNX's number for the type."""


class OnnxRecurrence(nn.Module):
    """Stands in for a `Recurrence` during the export; it can be traced but not run."""

    def __init__(self, trained: Recurrence) -> None:
        super().__init__()
        layers = trained.layers
        self.mode, self.hidden_size, self.num_layers = layers.mode, layers.hidden_size, layers.num_layers
        self.bidirectional = layers.bidirectional
        for layer in range(layers.num_layers):
            w, r, bias_w, bias_r = (
                self._of_all_directions(layers, f"{name}_l{layer}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            self.register_buffer(f"w{layer}", w)
            self.register_buffer(f"r{layer}", r)
            self.register_buffer(f"b{layer}", torch.cat([bias_w, bias_r], dim=1))

    def forward(self, x_BTF: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """(B, T, F) and, if given, the number of steps of each row → (B, H) or (B, 2H), as of `Recurrence`."""
        last_BH = x_BTF
        for layer in range(self.num_layers):
            w, r, b = (getattr(self, f"{name}{layer}") for name in "wrb")
            options = self.mode, self.hidden_size, self.bidirectional
            x_BTF, last_BH = _recurrent_layer(x_BTF, lengths_B, w, r, b, *options)
        return last_BH

    def _of_all_directions(self, layers: nn.RNNBase, name: str) -> Tensor:
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        return torch.stack([self._in_onnx_order(getattr(layers, name + suffix)) for suffix in suffixes])

    def _in_onnx_order(self, parameter: Tensor) -> Tensor:
        order = _GATES[self.mode]
        gates = parameter.detach().chunk(len(order))
        return torch.cat([gates[gate] for gate in order])


@torch.library.custom_op("drivetrain::recurrent_layer", mutates_args=())
def _recurrent_layer(
    x: Tensor,
    lengths: Tensor | None,
    w: Tensor,
    r: Tensor,
    b: Tensor,
    mode: str,
    hidden_size: int,
    bidirectional: bool,
) -> tuple[Tensor, Tensor]:
    raise NotImplementedError("exists for the export only")


@_recurrent_layer.register_fake
def _(x: Tensor, *others: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - as the operator has them
    *_, hidden_size, bidirectional = others
    width = hidden_size * (2 if bidirectional else 1)
    return x.new_empty(x.shape[0], x.shape[1], width), x.new_empty(x.shape[0], width)


def _to_onnx(
    x: FLOAT,
    lengths: INT64 | None,
    w: FLOAT,
    r: FLOAT,
    b: FLOAT,
    mode: str,
    hidden_size: int,
    bidirectional: bool,
) -> tuple[FLOAT, FLOAT]:
    x_TBF = op.Transpose(x, perm=[1, 0, 2])
    steps: Any = None if lengths is None else op.Cast(lengths, to=_INT32)
    options: dict[str, Any] = {"hidden_size": hidden_size, "direction": "bidirectional" if bidirectional else "forward"}
    match mode:
        case "LSTM":
            states, last, _ = op.LSTM(x_TBF, w, r, b, steps, **options)
        case "GRU":
            states, last = op.GRU(x_TBF, w, r, b, steps, linear_before_reset=1, **options)
        case _:
            activations = [{"RNN_TANH": "Tanh", "RNN_RELU": "Relu"}[mode]] * (2 if bidirectional else 1)
            states, last = op.RNN(x_TBF, w, r, b, steps, activations=activations, **options)
    # (T, D, B, H) → (B, T, DH) and (D, B, H) → (B, DH), with D the directions
    shape_BTH: Any = op.Constant(value_ints=[0, 0, -1])  # typed as if for eager use
    shape_BH: Any = op.Constant(value_ints=[0, -1])
    states_BTH = op.Reshape(op.Transpose(states, perm=[2, 0, 1, 3]), shape_BTH)
    last_BH = op.Reshape(op.Transpose(last, perm=[1, 0, 2]), shape_BH)
    return states_BTH, last_BH


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.drivetrain.recurrent_layer.default: _to_onnx}
"""For `custom_translation_table` of torch.onnx.export."""
