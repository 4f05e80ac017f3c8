"""Recurrent network: sequences (B, T, F) of any length → (B, outputs)."""

import torch
from torch import Tensor, nn

from pipelines.errors import DataError
from pipelines.models.activations import initialise
from pipelines.spec.model import Rnn


class RecurrentNetwork(nn.Module):
    """Recurrent layers; a linear head reads the state after the last step."""

    def __init__(self, recurrent: nn.RNNBase, outputs: int) -> None:
        super().__init__()
        self.recurrent: nn.Module = recurrent
        self.head = nn.Linear(recurrent.hidden_size, outputs)
        initialise(self.head, None)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """(B, T, F) → (B, outputs)."""
        states_BTH, _ = self.recurrent(x_BTF)
        return torch.as_tensor(self.head(states_BTH[:, -1]))


def build_rnn(model: Rnn, row_shape: tuple[int, ...], outputs: int) -> RecurrentNetwork:
    """A network of the spec's cell and depth. Raises DataError unless a row is (time, features)."""
    if len(row_shape) != 2:
        raise DataError("data.shape", "[time, features] for model.family rnn", str(list(row_shape)))
    sizes = (row_shape[1], model.hidden_size, model.layers)
    layers: nn.RNNBase
    match model.cell:
        case "lstm":
            layers = nn.LSTM(*sizes, batch_first=True)
        case "gru":
            layers = nn.GRU(*sizes, batch_first=True)
        case "vanilla":
            layers = nn.RNN(*sizes, batch_first=True, nonlinearity=model.activation)
    return RecurrentNetwork(layers, outputs)
