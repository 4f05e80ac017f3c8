"""Recurrent network: series (B, T, F), or tokens (B, T), of any length → (B, outputs)."""

from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from pipelines.models.activations import initialise, initialise_recurrent
from pipelines.models.embedding import embedding_of
from pipelines.models.shapes import Answer, RowShape
from pipelines.spec.model import Rnn


class Recurrence(nn.Module):
    """Recurrent layers, of which the last state counts; of both directions, side by side, if there are two."""

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x_BTF: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """(B, T, F) and the number of steps of each row, by default T → (B, H) or (B, 2H).

        Steps beyond a row's length are not read, in neither direction. `lengths_B` (int64, from 1 to T) is on the CPU.
        """
        directions = 2 if self.layers.bidirectional else 1
        if lengths_B is None or not len(x_BTF):  # no row, nothing to pack
            _, last = self.layers(x_BTF)
        else:
            _, last = self.layers(pack_padded_sequence(x_BTF, lengths_B, batch_first=True, enforce_sorted=False))
        states_DBH = last[0] if self.layers.mode == "LSTM" else last
        return cast("Tensor", states_DBH[-directions:].transpose(0, 1).flatten(1))


class RecurrentNetwork(nn.Module):
    """Tokens are looked up first; a linear head reads the last state."""

    example_steps = 3

    def __init__(self, embedding: nn.Module, recurrent: Recurrence, width: int, answer: Answer) -> None:
        super().__init__()
        self.embedding = embedding
        self.recurrent: nn.Module = recurrent
        self.head = nn.Linear(width, answer.numbers)
        self.form = nn.Sequential(*answer.form)
        initialise(self.head, None)

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """(B, T, F) or tokens (B, T), and the number of steps of each row, by default T → (B, outputs)."""
        return cast("Tensor", self.form(self.head(self.recurrent(self.embedding(x), lengths_B))))


def build_rnn(model: Rnn, row: RowShape, answer: Answer) -> RecurrentNetwork:
    """A network of the spec's cell and depth. Raises DataError unless a row is (time, features), or tokens."""
    embedding, features = embedding_of(row, model.embedding_size, "[time, features] for model.family rnn")
    options: dict[str, Any] = {
        "input_size": features,
        "hidden_size": model.hidden_size,
        "num_layers": model.layers,
        "bidirectional": model.bidirectional,
        "dropout": model.dropout,
        "batch_first": True,
    }
    layers: nn.RNNBase
    match model.cell:
        case "lstm":
            layers = nn.LSTM(**options)
        case "gru":
            layers = nn.GRU(**options)
        case "vanilla":
            layers = nn.RNN(**options, nonlinearity=model.activation)
    initialise_recurrent(layers)
    width = model.hidden_size * (2 if model.bidirectional else 1)
    return RecurrentNetwork(embedding, Recurrence(layers), width, answer)
