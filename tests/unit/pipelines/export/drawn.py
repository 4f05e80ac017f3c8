"""Specs of every kind, drawn by hypothesis, each with rows that fit it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.scaling import Scaling
from pipelines.models.shapes import Outputs
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from tests.unit.pipelines.export.datasets import dataset

Tree = dict[str, Any]
Array = NDArray[np.generic]

ACTIVATIONS = st.sampled_from(["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu"])
NORMS = st.sampled_from(["none", "batch", "layer"])
DROPOUTS = st.sampled_from([0.0, 0.3])
WIDTHS = st.integers(1, 9)
HIDDEN = st.lists(WIDTHS, max_size=2)


@dataclass(frozen=True)
class Drawn:
    """A spec, and what its data look like."""

    spec: TrainingSpec
    row_shape: tuple[int, ...]
    outputs: Outputs
    vocabulary: int | None

    def rows(self, number: int, steps: int | None = None, seed: int = 0) -> Array:
        """So many raw rows; series of another length than `row_shape` where `steps` says so."""
        random = np.random.default_rng(seed)
        shape = (number, *self.row_shape) if steps is None else (number, steps, *self.row_shape[1:])
        if self.vocabulary is not None:
            return random.integers(0, self.vocabulary, shape)
        return (random.standard_normal(shape) * 4 + 10).astype(np.float32)

    def scaled(self, number: int) -> Array:
        """Rows as the network sees them."""
        rows = self.rows(number)
        return rows if self.vocabulary is not None else self.dataset.features.apply(rows.astype(np.float32))

    def targets(self, number: int) -> Array:
        """As the network sees them."""
        random = np.random.default_rng(1)
        if self.spec.task == "classification":
            return np.arange(number) % int(np.prod(self.outputs))
        return random.standard_normal((number, *self.outputs) if isinstance(self.outputs, tuple) else number).astype(
            np.float32
        )

    @property
    def dataset(self) -> Dataset:
        """What the export has to know: the scalings and the task."""
        made = dataset(self.row_shape if self.vocabulary is None else (1,), self.spec.task)
        return made if self.vocabulary is None else replace(made, features=Scaling.identity())


def optimizers() -> st.SearchStrategy[Tree]:
    names = st.sampled_from(["adam", "adamw", "adagrad", "rmsprop", "sgd", "gd"])
    return st.fixed_dictionaries({"name": names, "clip_norm": st.sampled_from([None, 0.1])})


def schedules() -> st.SearchStrategy[Tree]:
    names = st.sampled_from(["constant", "step", "cosine", "reduce_on_plateau"])
    return st.fixed_dictionaries({"name": names, "warmup_epochs": st.sampled_from([0, 0.5])})


@st.composite
def losses(draw: st.DrawFn) -> tuple[Tree, Outputs]:
    """A loss, and outputs that fit it."""
    name = draw(st.sampled_from(["cross_entropy", "binary_cross_entropy", "mse", "mae", "huber"]))
    match name:
        case "cross_entropy":
            smoothing = draw(st.sampled_from([0.0, 0.1]))
            return {"name": name, "label_smoothing": smoothing}, draw(st.integers(2, 4))
        case "binary_cross_entropy":
            return {"name": name}, 2
        case _:
            return {"name": name}, draw(st.one_of(st.just(1), st.tuples(st.integers(1, 4), st.integers(1, 3))))


@st.composite
def mlps(draw: st.DrawFn) -> tuple[Tree, tuple[int, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    model = {"hidden": draw(HIDDEN), "activation": draw(ACTIVATIONS), "norm": draw(NORMS), "dropout": draw(DROPOUTS)}
    return {"family": "mlp"} | model, shape


def blocks() -> st.SearchStrategy[Tree]:
    return st.fixed_dictionaries(
        {
            "channels": WIDTHS,
            "kernel_size": st.sampled_from([1, 3, 5]),
            "stride": st.integers(1, 2),
            "pool": st.integers(1, 2),
            "pooling": st.sampled_from(["max", "average"]),
            "residual": st.booleans(),
        }
    )


@st.composite
def cnns(draw: st.DrawFn) -> tuple[Tree, tuple[int, ...]]:
    series = draw(st.booleans())
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 3))) if series else (draw(st.integers(1, 3)), 16, 17)
    stack = draw(
        st.one_of(
            st.fixed_dictionaries({"blocks": st.lists(blocks(), min_size=1, max_size=2)}),
            st.fixed_dictionaries({"channels": st.lists(WIDTHS, min_size=1, max_size=3)}),
        )
    )
    rest = {
        "hidden": draw(HIDDEN),
        "activation": draw(ACTIVATIONS),
        "norm": draw(NORMS),
        "dropout": draw(DROPOUTS),
        "global_pooling": draw(st.sampled_from(["none", "average", "max"])),
        "embedding_size": draw(st.integers(1, 4)),
    }
    return {"family": "cnn"} | stack | rest, shape


@st.composite
def rnns(draw: st.DrawFn) -> tuple[Tree, tuple[int, ...]]:
    cell, layers = draw(st.sampled_from(["vanilla", "lstm", "gru"])), draw(st.integers(1, 3))
    model = {
        "cell": cell,
        "layers": layers,
        "hidden_size": draw(WIDTHS),
        "bidirectional": draw(st.booleans()),
        "activation": draw(st.sampled_from(["tanh", "relu"])) if cell == "vanilla" else "tanh",
        "dropout": draw(DROPOUTS) if layers > 1 else 0.0,
        "embedding_size": draw(st.integers(1, 4)),
    }
    return {"family": "rnn"} | model, (draw(st.integers(1, 9)), draw(st.integers(1, 3)))


FAMILIES = {"mlp": mlps(), "cnn": cnns(), "rnn": rnns()}


@st.composite
def specs(draw: st.DrawFn, family: str) -> Drawn:
    """Any spec of a family that is not refused."""
    model, row_shape = draw(FAMILIES[family])
    loss, outputs = draw(losses())
    optimizer = draw(optimizers())
    if model.get("norm") == "batch" and optimizer["name"] == "gd":
        optimizer["name"] = "sgd"
    penalties = {"l1": draw(st.sampled_from([0.0, 0.01]))}
    if optimizer["name"] != "adamw":
        penalties["l2"] = draw(st.sampled_from([0.0, 0.01]))
    vocabulary = None
    if len(row_shape) == 2 and (family == "rnn" or model.get("global_pooling") in ("average", "max")):
        vocabulary = draw(st.sampled_from([None, 11]))
    spec = build_spec(
        {
            "seed": draw(st.integers(0, 5)),
            "data": {"source": "synthetic"},
            "model": model,
            "loss": loss,
            "optimizer": optimizer,
            "schedule": draw(schedules()),
            "regularization": penalties,
            "training": {"epochs": 1, "batch_size": 8},
        }
    )
    return Drawn(spec, row_shape[:1] if vocabulary else row_shape, outputs, vocabulary)
