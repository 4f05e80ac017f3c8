"""Where a loss that is no longer finite began: faults that are planted, and found."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipelines.data.row_names import BY_NUMBER
from pipelines.errors import NonFiniteError, TrainingError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.batches import Batches
from pipelines.training.diagnosis import Suspect, explain
from pipelines.training.loop import Fitting, fit
from pipelines.training.objective import Objective
from pipelines.training.slabs import Part
from pipelines.training.team import Solo

ROWS, BATCH = 40, 8
HUGE_ROW = 17


def spec_of(optimizer: str = "sgd", rate: float = 1e-6, **sections: object) -> TrainingSpec:
    tree: dict[str, Any] = {
        "data": {"source": "synthetic"},
        "loss": {"name": "mse"},
        "optimizer": {"name": optimizer, "learning_rate": rate},
        "training": {"epochs": 5, "batch_size": BATCH},
    }
    return build_spec(tree | sections)


def part(seed: int, huge: float | None = None) -> Part:
    random = np.random.default_rng(seed)
    features = random.standard_normal((ROWS, 3)).astype(np.float32)
    if huge is not None:
        features[HUGE_ROW] = huge
    return Part(torch.from_numpy(features), torch.from_numpy(features[:, 0].clip(-3, 3)))


TRAIN, VALIDATION = part(1), part(2)


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def linear(network: nn.Sequential, number: int) -> nn.Linear:
    layer = network[number]
    assert isinstance(layer, nn.Linear)
    return layer


def explained(
    spec: TrainingSpec, network: nn.Module, epoch: int, train: Part = TRAIN, validation: Part = VALIDATION
) -> TrainingError:
    """What is found when a network trains from its beginning to an epoch whose loss is said not to be finite."""
    suspect = Suspect(spec, Objective(spec.loss, spec.regularization), train, validation, BY_NUMBER)
    again = Fitting(network, spec)
    return explain(suspect, again, fit(again, spec, train, validation, 1.0, Solo()), epoch)


def diagnosed(
    spec: TrainingSpec,
    train: Part = TRAIN,
    validation: Part = VALIDATION,
    network: Callable[[], nn.Module] = plain,
) -> NonFiniteError:
    """What is found after a training that has gone wrong indeed."""
    for report in fit(Fitting(network(), spec), spec, train, validation, 1.0, Solo()):
        if not math.isfinite(report.train.loss + report.validation.loss):
            error = explained(spec, network(), report.epoch, train, validation)
            assert isinstance(error, NonFiniteError)
            assert error.epoch == report.epoch
            return error
    raise AssertionError("nothing went wrong")


def batch_of_the_huge_row() -> tuple[int, tuple[str, ...]]:
    """Its step in the first epoch, and the rows that it shares it with."""
    for step, update in enumerate(Batches(ROWS, BATCH, 0, 1).stochastic(seed=0, epoch=1), start=1):
        rows = update.chunks[0].tolist()
        if HUGE_ROW in rows:
            return step, tuple(str(row + 1) for row in rows)
    raise AssertionError("every row has its turn")


@pytest.mark.parametrize(
    ("value", "place"), [(3e38, "the output of layer 0 (Linear)"), (1e25, "the loss")], ids=["layer", "loss"]
)
def test_a_row_that_overflows_is_among_those_named(value: float, place: str) -> None:
    def steep() -> nn.Sequential:
        network = plain()
        with torch.no_grad():
            linear(network, 0).weight.fill_(2)
        return network

    error = diagnosed(spec_of(), train=part(1, value), network=steep)
    assert (error.epoch, error.part, error.place) == (1, "training", place)
    assert (error.step, error.rows) == batch_of_the_huge_row()
    assert f"a look at these rows, whose features as the network gets them reach {value:.3g}" in error.advice


def test_a_layer_that_overflows_is_named() -> None:
    def heavy() -> nn.Sequential:
        network = plain()
        with torch.no_grad():
            linear(network, 0).bias.fill_(2)
            linear(network, 2).weight.fill_(3e38)
        return network

    error = diagnosed(spec_of(), network=heavy)
    assert (error.step, error.place) == (1, "the output of layer 2 (Linear)")


class Root(nn.Module):
    """√(0·x): all is well going forward, but its slope has no end."""

    def forward(self, x: Tensor) -> Tensor:
        return (x * 0).sqrt()


def test_a_gradient_that_is_none_is_named() -> None:
    error = diagnosed(spec_of(), network=lambda: nn.Sequential(nn.Linear(3, 1), Root()))
    assert error.step == 1
    assert error.place.startswith("the gradient of the weights 0.")


def test_an_update_that_goes_too_far_is_named_with_its_own_step() -> None:
    def steep() -> nn.Sequential:
        network = plain()
        with torch.no_grad():
            linear(network, 2).weight.fill_(1e15)
        return network

    spec = spec_of(rate=100.0)
    far = Part(
        TRAIN.features * 1e4, TRAIN.targets
    )  # gradients of 1e38 that are finite yet, unlike a hundred times that
    error = diagnosed(spec, train=far, network=steep)
    assert error.step == 1
    assert "after the update" in error.place or "gradient" in error.place


@pytest.mark.parametrize("optimizer", ["sgd", "gd"])
def test_a_rate_that_is_too_high_is_told_with_the_advice(optimizer: str) -> None:
    error = diagnosed(spec_of(optimizer, 50.0, training={"epochs": 200, "batch_size": BATCH}))
    assert error.advice.startswith("a smaller optimizer.learning_rate than 50")
    assert len(error.rows) == (BATCH if error.part == "training" else ROWS)
    text = str(error)
    assert text.startswith(f"the loss is no longer finite in epoch {error.epoch}: the first bad value is in ")
    assert f"in step {error.step} with the {error.part} rows {error.rows[0]}, {error.rows[1]}, " in text


def test_a_validation_row_is_told_as_one() -> None:
    error = diagnosed(spec_of(), validation=part(2, 3e38))
    assert (error.part, error.step, error.rows) == ("validation", 1, tuple(map(str, range(1, ROWS + 1))))
    assert "with the validation rows 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 30 more" in str(error)


def test_without_standardisation_that_is_advised() -> None:
    error = diagnosed(spec_of(data={"source": "synthetic", "standardize": False}), train=part(1, 3e38))
    assert "data.standardize: true" in error.advice


def test_what_does_not_happen_again_is_said_plainly() -> None:
    spec = spec_of()
    error = explained(spec, plain(), 2)
    assert type(error) is TrainingError
    assert str(error).startswith("the loss is no longer finite in epoch 2, but was when that was repeated; try a ")


def test_the_hooks_are_taken_away() -> None:
    spec, network = spec_of(), plain()
    explained(spec, network, 1)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in network.modules())


def test_the_error_can_be_sent() -> None:
    error = NonFiniteError(3, 2, "training", ("1", "2"), "the loss", "less")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows, again.place) == (str(error), ("1", "2"), "the loss")
