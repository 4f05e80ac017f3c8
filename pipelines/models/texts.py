"""Networks that read texts: rows of token indices that are filled up to one length."""

from typing import cast

from torch import Tensor, nn

from pipelines.registry.texts import PADDING


class Padded(nn.Module):
    """A network over tokens of any length that is told where each row's padding begins, so that it changes nothing."""

    def __init__(self, network: nn.Module, example_steps: int) -> None:
        super().__init__()
        self.network, self.example_steps = network, example_steps

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """(B, T) int64, each row with a token that is no padding → (B, outputs)."""
        lengths_B = (tokens_BT != PADDING).sum(dim=1).clamp(min=1)
        return cast("Tensor", self.network(tokens_BT, lengths_B.cpu()))
