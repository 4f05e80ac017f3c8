"""From the spec's `model` section to a network."""

import torch
from torch import nn

from pipelines.models.cnn import build_cnn
from pipelines.models.mlp import build_mlp
from pipelines.models.rnn import build_rnn
from pipelines.models.shapes import Outputs, RowShape, answer_of
from pipelines.models.texts import Padded
from pipelines.spec.model import Cnn, Mlp, Model, Rnn
from pipelines.spec.training_spec import TrainingSpec


def build_network(
    model: Model,
    row_shape: tuple[int, ...],
    outputs: Outputs,
    seed: int,
    *,
    vocabulary: int | None = None,
    one_logit: bool = False,
) -> nn.Module:
    """A network on the CPU with first weights drawn from `seed`: (B, *row_shape) → (B, outputs) or (B, *outputs).

    The outputs are logits for classes, or scaled quantities, for instance of a forecast (H, V). With a `vocabulary`
    rows are token indices (T,) below it; with `one_logit` the logits of two classes come from one number. What takes
    series of any length says so by `takes_any_length`. Raises DataError if a row or the outputs do not fit.
    """
    row, answer = RowShape(row_shape, vocabulary), answer_of(outputs, one_logit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match model:
            case Mlp():
                return build_mlp(model, row, answer)
            case Cnn():
                return build_cnn(model, row, answer)
            case Rnn():
                return build_rnn(model, row, answer)


def network_of(spec: TrainingSpec, row_shape: tuple[int, ...], outputs: Outputs, vocabulary: int | None) -> nn.Module:
    """The network that a spec trains on rows of this shape, or on texts as tokens below `vocabulary`.

    Raises DataError as `build_network` does.
    """
    seed, one_logit = spec.seed, spec.one_logit
    network = build_network(spec.model, row_shape, outputs, seed, vocabulary=vocabulary, one_logit=one_logit)
    return network if vocabulary is None else Padded(network, example_steps(network))


def takes_any_length(network: nn.Module) -> bool:
    """Whether series may be longer or shorter than the row it was built for, and their `lengths` (B,) be given too."""
    return example_steps(network) > 0


def example_steps(network: nn.Module) -> int:
    """So many steps that no size inside the network is 1, which would be taken for fixed; 0 if the length is fixed."""
    return int(getattr(network, "example_steps", 0))
