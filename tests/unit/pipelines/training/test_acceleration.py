"""What is chosen for which network, and that bf16 and compiled code train the same weights but for rounding."""

import shutil
from typing import Any

import pytest
import torch
from torch import nn

from pipelines.data.loading import load_dataset
from pipelines.models.network import build_network
from pipelines.spec.training import Compute
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.acceleration import accelerated, multiply_adds, num_threads, uses_bf16
from pipelines.training.loop import EpochReport
from pipelines.training.team import Solo
from pipelines.training.worker import make_job, train

MODELS: dict[str, tuple[dict[str, Any], tuple[int, ...], int]] = {
    "mlp": ({"family": "mlp", "hidden": [64, 32]}, (20,), 20 * 64 + 64 * 32 + 32 * 10),
    "cnn": (
        {"family": "cnn", "channels": [32, 64], "hidden": []},
        (1, 28, 28),
        28 * 28 * 9 * 32 + 14 * 14 * 9 * 32 * 64 + 7 * 7 * 64 * 10,
    ),
    "lstm": (
        {"family": "rnn", "cell": "lstm", "hidden_size": 64},
        (50, 8),
        50 * 4 * (8 * 64 + 64 * 64) + 64 * 10,
    ),
}


def network(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network and rows to try it with."""
    model, row, _ = MODELS[name]
    return build_network(build_spec({"model": model}).model, row, 10, 0), torch.zeros(2, *row)


@pytest.mark.parametrize("name", MODELS)
def test_multiplications_are_counted_place_by_place(name: str) -> None:
    built, rows = network(name)
    assert multiply_adds(built, rows) == MODELS[name][2]
    assert built.training
    assert not any(module._forward_hooks for module in built.modules())


def test_small_networks_have_one_thread_whatever_is_there() -> None:
    compute = Compute(cpus_per_worker=8)
    assert num_threads(compute, *network("mlp"), 32) == 1
    assert num_threads(compute, *network("cnn"), 32) > 1
    assert num_threads(compute, *network("cnn"), 100_000) == 8
    assert num_threads(Compute(), *network("cnn"), 100_000) == 1


def test_a_precision_that_is_asked_for_is_taken() -> None:
    assert uses_bf16(Compute(precision="bf16"), *network("mlp"))
    assert not uses_bf16(Compute(precision="fp32"), *network("cnn"))


def test_by_itself_only_a_larger_convolution_is_computed_in_bf16() -> None:
    assert not uses_bf16(Compute(), *network("mlp"))
    assert not uses_bf16(Compute(), *network("lstm"))
    small = build_network(
        build_spec({"model": {"family": "cnn", "channels": [4], "hidden": []}}).model, (1, 8, 8), 3, 0
    )
    assert not uses_bf16(Compute(), small, torch.zeros(2, 1, 8, 8))


def spec_of(**sections: object) -> TrainingSpec:
    tree = {
        "data": {"source": "sklearn", "dataset": "digits", "shape": [1, 8, 8]},
        "model": {"family": "cnn", "channels": [8, 16], "hidden": []},
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "training": {"epochs": 3},
    }
    return build_spec(tree | sections)


def last_report(spec: TrainingSpec) -> EpochReport:
    reports = [
        event
        for event in train(make_job(spec, load_dataset(spec)), Solo(), torch.device("cpu"))
        if isinstance(event, EpochReport)
    ]
    return reports[-1]


def test_bf16_learns_what_fp32_learns() -> None:
    exact, rounded = (last_report(spec_of(compute={"precision": name})) for name in ("fp32", "bf16"))
    assert rounded.train.loss != exact.train.loss
    assert rounded.validation.loss == pytest.approx(exact.validation.loss, abs=0.03)
    assert rounded.validation.metrics["accuracy"] == pytest.approx(exact.validation.metrics["accuracy"], abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling needs a compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # of torch's own compiler
def test_compiled_code_learns_the_same() -> None:
    mlp = {"family": "mlp", "hidden": [16], "activation": "gelu"}
    plain, compiled = (last_report(spec_of(model=mlp, compute={"compile": wish})) for wish in (False, True))
    assert compiled.train.loss == pytest.approx(plain.train.loss, rel=1e-3)
    assert compiled.validation.loss == pytest.approx(plain.validation.loss, rel=1e-3)


def test_a_perceptron_is_not_compiled() -> None:
    mlp, rows = network("mlp")
    assert accelerated(mlp, spec_of(model={"family": "mlp"}, compute={"compile": True}), rows) is mlp
