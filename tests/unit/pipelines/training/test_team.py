"""Several workers give the one-worker result, in real processes that meet over gloo."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.team import DistributedTeam, Solo
from tests.unit.pipelines.training.meeting import meet
from tests.unit.pipelines.training.member import Result, alone

MLP = {"family": "mlp", "hidden": [7], "activation": "tanh"}
GRU = {"family": "rnn", "cell": "gru", "hidden_size": 5}
# 23 training rows and 11 held-out ones: no share is even, and the last batch of 2 has fewer rows than three workers.
CASES: dict[str, dict[str, Any]] = {
    "gd": {"optimizer": {"name": "gd", "learning_rate": 0.5}, "model": MLP, "training": {"epochs": 6, "batch_size": 7}},
    "sgd": {
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5},
        "model": MLP,
        "training": {"epochs": 4, "batch_size": 7},
    },
    "adam": {"optimizer": {"name": "adam"}, "model": GRU, "training": {"epochs": 2, "batch_size": 7}},
    "schedule, clipping, class weights": {
        "optimizer": {"name": "rmsprop", "learning_rate": 0.01, "clip_norm": 0.5},
        "schedule": {"name": "cosine", "warmup_epochs": 1},
        "loss": {"name": "cross_entropy", "label_smoothing": 0.1, "class_weights": "balanced"},
        "model": MLP,
        "training": {"epochs": 3, "batch_size": 7},
    },
    "batch norm": {
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "schedule": {"name": "reduce_on_plateau", "patience": 1, "min_delta": 1.0},
        "model": MLP | {"norm": "batch"},
        "training": {"epochs": 4, "batch_size": 7},
    },
    "convolution": {  # smooth: a kink or a tie of maxima would turn a last bit into another path
        "optimizer": {"name": "sgd", "learning_rate": 0.02},
        "model": {
            "family": "cnn",
            "blocks": [{"channels": 5, "residual": True, "pool": 1}, {"channels": 4, "pool": 1}],
            "activation": "tanh",
            "norm": "batch",
            "global_pooling": "average",
        },
        "training": {"epochs": 3, "batch_size": 7},
    },
}


def specs() -> list[TrainingSpec]:
    return [build_spec(case | {"seed": 2, "regularization": {"l1": 0.01, "l2": 0.1}}) for case in CASES.values()]


def rows() -> Result:
    random = np.random.default_rng(0)
    parts: Result = {}
    for part, count in (("train", 23), ("val", 11)):
        features = random.standard_normal((count, 4, 2)).astype(np.float32)
        parts |= {f"{part}_x": features, f"{part}_y": features.sum(axis=1).argmax(axis=1).astype(np.int64)}
    return parts


@pytest.fixture(scope="module", params=[2, 3])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[Result]]:
    """What each rank came to, spec by spec."""
    folder, size = tmp_path_factory.mktemp("team"), int(request.param)
    np.savez(folder / "rows.npz", allow_pickle=False, **rows())
    (folder / "specs").write_text("\n".join(spec.model_dump_json() for spec in specs()))
    meet("member", size, str(folder))
    return [[loaded(folder / f"{rank}-{number}.npz") for number in range(len(CASES))] for rank in range(size)]


def loaded(path: Path) -> Result:
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", CASES)
def test_a_team_trains_as_one_worker_does(results: list[list[Result]], case: str) -> None:
    number = list(CASES).index(case)
    expected = alone(specs()[number], rows())
    assert np.ptp(expected["curve"][:, 0]) > 1e-2  # something was learned
    for of_rank in results:
        came = of_rank[number]
        assert list(came) == list(expected)
        np.testing.assert_allclose(came["curve"], expected["curve"], rtol=1e-5, atol=1e-5)
        for name in expected:
            np.testing.assert_allclose(came[name], expected[name], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_members_of_a_team_agree_exactly(results: list[list[Result]], case: str) -> None:
    number = list(CASES).index(case)
    first, *others = (of_rank[number] for of_rank in results)
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)


def test_a_lone_worker_wraps_nothing() -> None:
    network = nn.Linear(1, 1)
    team = Solo()
    assert (team.rank, team.size) == (0, 1)
    assert team.wrap(network) is network
    with team.local(network):
        assert team.total(torch.ones(2)).tolist() == [1, 1]
    assert [team.follow(decision) for decision in (True, False)] == [True, False]
    assert team.gather("mine") == ["mine"]


def test_only_a_wrapped_network_can_put_averaging_off(tmp_path: Path) -> None:
    store = f"file://{tmp_path / 'rendezvous'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        with pytest.raises(TypeError, match="only a wrapped network"):
            DistributedTeam().local(nn.Linear(1, 1))
    finally:
        torch.distributed.destroy_process_group()
