"""The loop around the updates: early stopping, the best epoch, evaluation, determinism."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import Tensor, nn

from pipelines.models.network import build_network
from pipelines.spec.training import EarlyStopping
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.loop import BestEpoch, EpochReport, Fitting, fit
from pipelines.training.slabs import Part
from pipelines.training.team import Solo


def observed(losses: list[float], stopping: EarlyStopping | None) -> tuple[list[bool], int | None]:
    """Which epochs were best, and the epoch at which to stop."""
    best, network = BestEpoch(stopping), nn.Linear(1, 1)
    flags = []
    for epoch, loss in enumerate(losses, start=1):
        flags.append(best.observe(loss, network))
        if best.should_stop:
            return flags, epoch
    return flags, None


@pytest.mark.parametrize(
    ("losses", "stopping", "flags", "stop"),
    [
        ([3, 2, 1], None, "BBB", None),
        ([1, 2, 3, 4, 5], None, "B----", None),
        ([1, 2, 0.5, 3], EarlyStopping(patience=2), "B-B-", None),
        ([1, 2, 3, 0.5], EarlyStopping(patience=2), "B--", 3),
        ([1, 2], EarlyStopping(patience=1), "B-", 2),
        ([1, 1, 1], EarlyStopping(patience=2), "B--", 3),  # as good is no improvement
        # Falls of min_delta or less do not count, but the lowest loss is still the best epoch.
        ([1, 0.95, 0.9], EarlyStopping(patience=2, min_delta=0.1), "BBB", 3),
        ([1, 0.85, 0.7, 0.55], EarlyStopping(patience=1, min_delta=0.1), "BBBB", None),
        # Small falls add up against the last improvement that counted.
        ([1, 0.95, 0.89, 0.85], EarlyStopping(patience=2, min_delta=0.1), "BBBB", None),
        ([float("nan"), float("nan")], EarlyStopping(patience=2), "--", 2),
    ],
)
def test_when_to_stop(losses: list[float], stopping: EarlyStopping | None, flags: str, stop: int | None) -> None:
    assert observed(losses, stopping) == ([flag == "B" for flag in flags], stop)


def test_the_kept_weights_are_a_copy() -> None:
    best, network = BestEpoch(None), nn.Linear(1, 1)
    network.weight.data.fill_(7)
    best.observe(1.0, network)
    network.weight.data.fill_(8)
    best.observe(2.0, network)
    assert best.weights["weight"].item() == 7


def spec_of(**training: object) -> TrainingSpec:
    return build_spec(
        {
            "model": {"family": "mlp", "hidden": [16], "activation": "tanh"},
            "optimizer": {"name": "adam", "learning_rate": 0.05},
            "training": {"epochs": 40, "batch_size": 8} | training,
        }
    )


def part(rows: int, seed: int) -> Part:
    random = np.random.default_rng(seed)
    features = random.standard_normal((rows, 5)).astype(np.float32)
    noisy = features[:, 0] + random.standard_normal(rows) > 0
    return Part(torch.from_numpy(features), torch.from_numpy(noisy.astype(np.int64)))


TRAIN, VALIDATION = part(60, 1), part(40, 2)


def trained(spec: TrainingSpec) -> tuple[nn.Module, list[EpochReport], BestEpoch, list[dict[str, Tensor]]]:
    """Also the weights after each epoch."""
    network = build_network(spec.model, (5,), 2, spec.seed)
    fitting, reports, weights = Fitting(network, spec), [], []
    for report in fit(fitting, spec, TRAIN, VALIDATION, 1.0, Solo()):
        reports.append(report)
        weights.append({name: weight.clone() for name, weight in network.state_dict().items()})
    return network, reports, fitting.best, weights


def test_every_epoch_is_reported_once() -> None:
    _, reports, _, _ = trained(spec_of(epochs=5))
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5]
    for report in reports:
        assert report.rows_per_second == pytest.approx(60 / report.seconds)
        assert report.learning_rate == 0.05
        assert report.penalty == 0


def test_training_learns() -> None:
    _, reports, _, _ = trained(spec_of())
    assert reports[-1].train.loss < 0.5 * reports[0].train.loss
    assert reports[-1].train.metrics["accuracy"] > 0.9


def test_the_best_epochs_weights_are_kept() -> None:
    _, reports, best, weights = trained(spec_of())
    losses = [report.validation.loss for report in reports]
    lowest = int(np.argmin(losses))
    assert lowest < len(losses) - 1  # these rows overfit, or the test shows nothing
    assert [report.epoch for report in reports if report.best][-1] == lowest + 1
    assert all(torch.equal(best.weights[name], weight) for name, weight in weights[lowest].items())


def test_early_stopping_ends_the_training() -> None:
    _, reports, best, weights = trained(spec_of(early_stopping={"patience": 3}))
    losses = [report.validation.loss for report in reports]
    assert len(reports) == int(np.argmin(losses)) + 1 + 3 < 40
    assert all(torch.equal(best.weights[name], weight) for name, weight in weights[int(np.argmin(losses))].items())


def test_validation_is_measured_on_the_epochs_own_weights() -> None:
    network, reports, _, _ = trained(spec_of(epochs=3))
    with torch.no_grad():
        outputs = network(VALIDATION.features)
    expected = nn.functional.cross_entropy(outputs, VALIDATION.targets).item()
    assert reports[-1].validation.loss == pytest.approx(expected, rel=1e-6)
    accuracy = accuracy_score(VALIDATION.targets, outputs.argmax(dim=1))
    assert reports[-1].validation.metrics["accuracy"] == pytest.approx(accuracy)


def curve(reports: list[EpochReport]) -> list[tuple[Any, ...]]:
    return [(report.train, report.validation, report.penalty, report.best) for report in reports]


def test_the_seed_decides_everything() -> None:
    first, again = trained(spec_of(epochs=6)), trained(spec_of(epochs=6))
    other = trained(spec_of(epochs=6).model_copy(update={"seed": 1}))
    assert curve(first[1]) == curve(again[1])
    assert curve(first[1]) != curve(other[1])
    assert all(torch.equal(first[3][-1][name], again[3][-1][name]) for name in first[3][-1])


def test_dropout_and_the_like_are_off_while_validating() -> None:
    network = nn.Sequential(nn.Linear(5, 2), nn.Dropout(0.5))
    modes: list[tuple[bool, bool]] = []
    network.register_forward_pre_hook(lambda module, _: modes.append((module.training, torch.is_grad_enabled())))
    spec = spec_of(epochs=1, batch_size=60)
    list(fit(Fitting(network, spec), spec, TRAIN, VALIDATION, 1.0, Solo()))
    assert modes == [(True, True), (False, False)]


def test_padding_changes_no_update() -> None:
    model = {"family": "rnn", "cell": "lstm", "hidden_size": 5, "bidirectional": True}
    spec = build_spec({"model": model, "training": {"epochs": 2, "batch_size": 8}})
    lengths = torch.arange(20) % 6 + 1
    came = []
    for padding in (0.0, 1e3):
        features = torch.randn(20, 6, 3, generator=torch.Generator().manual_seed(1))
        for row, length in zip(features, lengths, strict=True):
            row[length:] = padding
        series = Part(features, (features[:, 0, 0] > 0).long(), lengths)
        fitting = Fitting(build_network(spec.model, (6, 3), 2, spec.seed), spec)
        list(fit(fitting, spec, series, series, 1.0, Solo()))
        came.append(fitting.network.state_dict())
    assert all(torch.equal(came[0][name], came[1][name]) for name in came[0])


def test_a_batch_norm_takes_a_last_batch_of_one_row() -> None:
    spec = build_spec({"model": {"norm": "batch"}, "training": {"epochs": 1, "batch_size": 59}})
    network = build_network(spec.model, (5,), 2, spec.seed)
    report = next(fit(Fitting(network, spec), spec, TRAIN, VALIDATION, 1.0, Solo()))
    assert np.isfinite(report.validation.loss)
