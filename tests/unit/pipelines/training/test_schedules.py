"""The learning rate: what test_updates.py does not see, above all what depends on the losses and on a resume."""

from typing import Any

import pytest
import torch
from torch import nn

from pipelines.spec_file import build_spec
from pipelines.training.schedules import LearningRate

PLATEAU = {"name": "reduce_on_plateau", "patience": 2, "factor": 0.5}


def learning_rate(schedule: dict[str, Any], epochs: int = 10) -> LearningRate:
    tree = {"schedule": schedule, "optimizer": {"learning_rate": 0.8}, "training": {"epochs": epochs}}
    return LearningRate(build_spec(tree), torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.8))


def rates(losses: list[float], schedule: dict[str, Any]) -> list[float]:
    """Of each epoch, the one after the last loss too."""
    rate, came = learning_rate(schedule), []
    for epoch, loss in enumerate(losses, start=1):
        came.append(rate.at(epoch, 0, 1))
        rate.after_epoch(loss)
    return [*came, rate.at(len(losses) + 1, 0, 1)]


@pytest.mark.parametrize(
    ("losses", "schedule", "expected"),
    [
        ([3, 2, 1], PLATEAU, [0.8, 0.8, 0.8, 0.8]),
        ([1, 1, 1], PLATEAU, [0.8, 0.8, 0.8, 0.4]),  # as good is no improvement
        ([1, 2, 0.5, 0.6, 0.7], PLATEAU, [0.8, 0.8, 0.8, 0.8, 0.8, 0.4]),
        ([1, 2, 2, 2, 2, 2], PLATEAU, [0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2]),  # the count begins anew after a fall
        ([1, 0.95, 0.9], PLATEAU | {"min_delta": 0.1}, [0.8, 0.8, 0.8, 0.4]),
        ([float("nan"), float("nan")], PLATEAU, [0.8, 0.8, 0.4]),
        ([1, 1, 1], PLATEAU | {"warmup_epochs": 4}, [0.2, 0.4, 0.6, 0.4]),  # both factors count
    ],
)
def test_a_plateau_lowers_the_rate(losses: list[float], schedule: dict[str, Any], expected: list[float]) -> None:
    assert rates(losses, schedule) == pytest.approx(expected)


def test_other_schedules_do_not_look_at_the_loss() -> None:
    assert rates([1, 1, 1, 1], {"name": "step", "every": 2}) == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.008])


def test_a_schedule_goes_on_from_its_state() -> None:
    whole, first, second = (learning_rate(PLATEAU) for _ in range(3))
    losses = [1.0, 2.0, 2.0, 2.0, 0.5, 0.6, 0.6]
    for loss in losses:
        whole.after_epoch(loss)
    for loss in losses[:4]:
        first.after_epoch(loss)
    second.load_state_dict(first.state_dict())
    for loss in losses[4:]:
        second.after_epoch(loss)
    assert second.state_dict() == whole.state_dict()
    assert second.at(8, 0, 1) == whole.at(8, 0, 1) == pytest.approx(0.8 * 0.25)


@pytest.mark.parametrize(
    ("schedule", "stays"), [({}, True), ({"warmup_epochs": 1}, False), ({"name": "cosine"}, False)]
)
def test_a_constant_rate_is_left_alone(schedule: dict[str, Any], stays: bool) -> None:
    tree = {"schedule": schedule, "training": {"epochs": 3}}
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=7.0)
    LearningRate(build_spec(tree), optimizer).before_update(2, 1, 4)
    assert (optimizer.param_groups[0]["lr"] == 7.0) == stays


def test_every_group_of_parameters_gets_the_rate() -> None:
    one, other = (nn.Linear(1, 1) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": one.parameters()}, {"params": other.parameters()}], lr=0.1)
    spec = build_spec({"schedule": {"name": "cosine"}, "training": {"epochs": 2}, "optimizer": {"learning_rate": 0.1}})
    LearningRate(spec, optimizer).before_update(2, 0, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.05])
