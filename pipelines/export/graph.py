"""The served graph: raw features in; standardisation, network and softmax or de-scaling inside; dynamic batch."""

import copy
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.data.dataset import INPUT, LENGTHS, Dataset
from pipelines.data.encoding import Category, Quantity
from pipelines.data.scaling import Scaling
from pipelines.export.recurrence import OPSET, TRANSLATIONS, OnnxRecurrence
from pipelines.models.network import example_steps
from pipelines.models.rnn import Recurrence
from pipelines.models.shapes import rows_a_pass
from pipelines.registry.manifest import Datatype, Image
from pipelines.registry.manifest import Tensor as TensorContract


class _Scaled(nn.Module):
    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.from_numpy(scaling.mean))
        self.register_buffer("deviation", torch.from_numpy(scaling.deviation))

    def logits(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        if features.is_floating_point():  # token indices are no quantities
            features = (features - self.get_buffer("mean")) / self.get_buffer("deviation")
        outputs: Tensor = self.network(features) if lengths is None else self.network(features, lengths)
        return outputs


class Classifier(_Scaled):
    """Raw features (B, *row) → probabilities (B, C) and the index of the likeliest class (B,).

    Of series the number of steps (B,) may come along; by default all count.
    """

    outputs = ("probabilities", "class_index")

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Standardise, run the network, softmax."""
        logits = self.logits(features, lengths)
        return logits.softmax(dim=-1), logits.argmax(dim=-1)


class Regressor(_Scaled):
    """Raw features (B, *row) → predictions (B, 1), or of a series (B, horizon, variables), in the targets' own units.

    Of series the number of steps (B,) may come along; by default all count.
    """

    outputs = ("prediction",)

    def __init__(self, network: nn.Module, scaling: Scaling, target: Scaling) -> None:
        super().__init__(network, scaling)
        self.register_buffer("target_mean", torch.from_numpy(target.mean))
        self.register_buffer("target_deviation", torch.from_numpy(target.deviation))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor]:
        """Standardise, run the network, undo the target's scaling."""
        scaled = self.logits(features, lengths)
        return (scaled * self.get_buffer("target_deviation") + self.get_buffer("target_mean"),)


class Forecaster(Regressor):
    """Raw windows (B, T, F) → forecasts (B, horizon, variables) in the targets' own units.

    Gaps (NaN) get the last value before them, if the dataset has it so, and the first columns are told relative to the
    window's last step: as `pipelines.data.windows` does it with those of training.
    """

    def __init__(self, network: nn.Module, dataset: Dataset) -> None:
        super().__init__(network, dataset.features, dataset.target)
        self.num_relative = dataset.num_relative
        self.rounds = math.ceil(math.log2(dataset.row_shape[0])) if dataset.carries else 0

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> tuple[Tensor]:
        """Fill, take the level off, run the network, put it on again."""
        for number in range(self.rounds):  # after each round what is missing has been looked for twice as far back
            before = functional.pad(features, (0, 0, 2**number, 0), value=torch.nan)[:, : features.shape[1]]
            features = torch.where(features.isnan(), before, features)
        if not self.num_relative:
            return super().forward(features, lengths)
        level = features[:, -1:, : self.num_relative]
        rest = features[:, :, self.num_relative :]
        features = torch.cat([features[:, :, : self.num_relative] - level, rest], dim=2)
        return (super().forward(features, lengths)[0] + level,)


Predictor = Classifier | Regressor


def build_predictor(network: nn.Module, dataset: Dataset) -> Predictor:
    """The whole of what is served, in torch: an eval-mode copy of `network` on the CPU, between its scalings."""
    still = copy.deepcopy(network).cpu().eval()
    if dataset.task == "classification":
        return Classifier(still, dataset.features).eval()
    if dataset.season is not None:
        return Forecaster(still, dataset).eval()
    return Regressor(still, dataset.features, dataset.target).eval()


def predict(predictor: Predictor, features: np.ndarray, lengths: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """What torch answers for raw features (N, *row) and, of series, their lengths (N,), by output name."""
    inputs = [torch.from_numpy(array) for array in (features, lengths) if array is not None]
    with torch.inference_mode():
        rows = rows_a_pass(features.shape[1:])
        starts = range(0, len(features), rows)
        answers = [predictor(*(each[start : start + rows] for each in inputs)) for start in starts]
    columns = zip(*answers, strict=True)
    return {name: torch.cat(column).numpy() for name, column in zip(predictor.outputs, columns, strict=True)}


def contract(
    dataset: Dataset, any_length: bool = True
) -> tuple[tuple[TensorContract, ...], tuple[TensorContract, ...]]:
    """Inputs and outputs of the graph as the manifest states them; -1 marks the axes that are open.

    Series may be of another length than those of the dataset if the network takes `any_length`.
    """
    inputs = tuple(map(_column, dataset.encoding.columns)) or (_text(dataset) or _features(dataset, any_length),)
    if dataset.has_lengths:
        inputs += (TensorContract(name=LENGTHS, datatype="INT64", shape=(-1,), steps_of=INPUT),)
    if dataset.task == "regression":
        outputs = dataset.num_outputs if isinstance(dataset.num_outputs, tuple) else (dataset.num_outputs,)
        return inputs, (TensorContract(name="prediction", datatype="FP32", shape=(-1, *outputs)),)
    probabilities = TensorContract(name="probabilities", datatype="FP32", shape=(-1, len(dataset.labels)))
    return inputs, (probabilities, TensorContract(name="class_index", datatype="INT64", shape=(-1,)))


def _column(column: Quantity | Category) -> TensorContract:
    datatype: Datatype = "BYTES" if isinstance(column, Category) else "FP32"
    return TensorContract(name=column.name, datatype=datatype, shape=(-1, 1))


def _text(dataset: Dataset) -> TensorContract | None:
    if dataset.text is None:
        return None
    return TensorContract(name=dataset.feature_names[0], datatype="BYTES", shape=(-1, 1), text=dataset.text)


def _features(dataset: Dataset, any_length: bool) -> TensorContract:
    row, trained_steps = dataset.row_shape, None
    if len(row) == 2 and any_length:
        trained_steps = None if dataset.has_lengths else row[0]
        row = (-1, *row[1:])
    image = Image(white=255, fit="stretch") if dataset.are_pictures else image_scale(dataset.train.features)
    return TensorContract(name=INPUT, datatype="FP32", shape=(-1, *row), image=image, trained_steps=trained_steps)


def image_scale(features: np.ndarray) -> Image | None:
    """How bright white is among training rows (N, C, H, W); None where they do not tell.

    They tell if they go from 0 to 1, or are whole numbers from 0 to 255. Others keep to plain values when served.
    """
    if features.ndim != 4 or features.shape[1] not in (1, 3, 4) or features.min() < 0:
        return None
    brightest = float(features.max())
    if 0 < brightest <= 1:
        return Image(white=1)
    whole = bool((features == np.floor(features)).all())
    return Image(white=255) if 127 < brightest <= 255 and whole else None


def export_onnx(predictor: Predictor, row_shape: tuple[int, ...], *, with_lengths: bool = False) -> onnx.ModelProto:
    """Export with a dynamic batch and, if the network takes series (time, *) of any length, dynamic time.

    Such a graph can have `lengths`, INT64 [-1], as its second input: steps beyond a row's length change nothing.
    """
    traced = copy.deepcopy(predictor)
    for module in list(traced.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Recurrence):
                setattr(module, name, OnnxRecurrence(child))
    steps = example_steps(predictor.network)
    example = (2, *row_shape) if steps == 0 else (2, steps, *row_shape[1:])  # what is 1 would be taken for fixed
    tokens = any(isinstance(module, nn.Embedding) for module in traced.modules())
    inputs = {INPUT: torch.zeros(example, dtype=torch.int64 if tokens else torch.float32)}
    axes = {INPUT: {0: "batch", 1: "time"} if steps else {0: "batch"}}
    if with_lengths:
        inputs[LENGTHS], axes[LENGTHS] = torch.full((2,), steps), {0: "batch"}
    with _quiet():
        program = torch.onnx.export(
            traced,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(predictor.outputs),
            dynamic_shapes=tuple(axes.values()),
            opset_version=OPSET,
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
    if program is None:  # happens only where a file is asked for
        raise AssertionError("torch.onnx.export returned no program")
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about packages that nobody needs here from the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
