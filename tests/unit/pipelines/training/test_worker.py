"""What one worker does from job to weights, without Ray."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.errors import NonFiniteError, TrainingError
from pipelines.models.network import build_network, network_of
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training.checkpoints import Checkpoints, Moment
from pipelines.training.loop import EpochReport, Fitting
from pipelines.training.team import Solo
from pipelines.training.worker import Trained, Worker, _begun, make_job, train

IRIS = {"source": "sklearn", "dataset": "iris"}
DIABETES = {"source": "sklearn", "dataset": "diabetes"}


def prepared(data: dict[str, Any], loss: str = "cross_entropy", **sections: object) -> tuple[TrainingSpec, Dataset]:
    tree = {"data": data, "loss": {"name": loss}, "model": {"family": "mlp", "hidden": [8]}, "training": {"epochs": 4}}
    spec = build_spec(tree | sections)
    return spec, load_dataset(spec)


def run(spec: TrainingSpec, dataset: Dataset) -> tuple[list[EpochReport], Trained]:
    *reports, last = train(make_job(spec, dataset), Solo(), torch.device("cpu"))
    assert isinstance(last, Trained)
    return [report for report in reports if isinstance(report, EpochReport)], last


def test_a_job_holds_scaled_rows() -> None:
    job = make_job(*prepared(IRIS))
    np.testing.assert_allclose(job.train.features.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(job.train.features.std(axis=0), 1, atol=1e-5)
    assert (job.num_outputs, job.target_deviation) == (3, 1.0)
    assert job.train.targets.dtype == np.int64


def test_a_job_of_quantities_holds_scaled_targets() -> None:
    spec, dataset = prepared(DIABETES, "mse")
    job = make_job(spec, dataset)
    assert job.train.targets.dtype == np.float32
    assert job.train.targets.shape == dataset.train.targets.shape
    assert job.train.targets.mean() == pytest.approx(0, abs=1e-5)
    assert job.target_deviation == pytest.approx(dataset.train.targets.std(), rel=1e-5)
    back = job.validation.targets * dataset.target.deviation + dataset.target.mean
    np.testing.assert_allclose(back, dataset.validation.targets, rtol=1e-5)


@pytest.mark.parametrize(
    ("data", "loss", "model"),
    [
        (IRIS, "cross_entropy", {"family": "mlp", "hidden": [8]}),
        (DIABETES, "mse", {"family": "mlp", "hidden": [8]}),
        (IRIS | {"shape": [1, 2, 2]}, "cross_entropy", {"family": "cnn", "channels": [4], "hidden": []}),
        (IRIS | {"shape": [2, 2]}, "cross_entropy", {"family": "rnn", "hidden_size": 4}),
    ],
)
def test_reports_then_the_best_weights(data: dict[str, Any], loss: str, model: dict[str, Any]) -> None:
    spec, dataset = prepared(data, loss, model=model)
    reports, trained = run(spec, dataset)
    assert [report.epoch for report in reports] == [1, 2, 3, 4]
    assert trained.best_epoch == 1 + int(np.argmin([report.validation.loss for report in reports]))
    network = build_network(spec.model, dataset.row_shape, dataset.num_outputs, 0)
    network.load_state_dict({name: torch.from_numpy(weight) for name, weight in trained.weights.items()})


def test_mean_absolute_errors_are_in_the_targets_units() -> None:
    reports, _ = run(*prepared(DIABETES, "mse"))
    assert 20 < reports[-1].validation.metrics["mae"] < 200  # the target goes from 25 to 346


def test_workers_begin_with_the_same_weights_and_random_numbers_of_their_own() -> None:
    job, weights, drawn = make_job(*prepared(IRIS)), [], []
    for rank in range(2):
        weights.append(nn.utils.parameters_to_vector(_begun(job, torch.device("cpu"), rank).network.parameters()))
        drawn.append(torch.rand(5))
    assert torch.equal(*weights)
    assert not torch.equal(*drawn)


def test_the_same_job_gives_the_same_weights() -> None:
    first, again = (run(*prepared(IRIS))[1] for _ in range(2))
    assert all(np.array_equal(first.weights[name], again.weights[name]) for name in first.weights)


def test_read_only_rows_will_do() -> None:
    # Ray hands arrays out from shared memory.
    job = make_job(*prepared(IRIS))
    for rows in (job.train, job.validation):
        rows.features.setflags(write=False)
        rows.targets.setflags(write=False)
    assert len(list(train(job, Solo(), torch.device("cpu")))) == 5


def test_a_job_and_its_events_can_be_sent() -> None:
    job = pickle.loads(pickle.dumps(make_job(*prepared(IRIS))))
    for event in Worker().run(job):
        assert type(pickle.loads(pickle.dumps(event))) is type(event)


@pytest.mark.parametrize("rate", [100.0, 30.0])
def test_divergence_is_an_error_that_names_place_rows_and_cure(rate: float) -> None:
    spec, dataset = prepared(DIABETES, "mse", optimizer={"name": "gd", "learning_rate": rate}, training={"epochs": 200})
    with pytest.raises(NonFiniteError, match=rf"try a smaller optimizer.learning_rate than {rate:g}") as caught:
        run(spec, dataset)
    assert caught.value.place
    assert caught.value.rows


def test_divergence_is_explained_from_the_last_checkpoint(tmp_path: Path) -> None:
    spec, dataset = prepared(DIABETES, "mse", optimizer={"name": "gd", "learning_rate": 30.0}, training={"epochs": 200})
    with pytest.raises(NonFiniteError) as caught:
        run(spec, dataset)
    begun = spec.model_copy(update={"training": spec.training.model_copy(update={"epochs": caught.value.epoch - 1})})
    assert begun.training.epochs > 0
    list(train(make_job(begun, dataset, tmp_path), Solo(), torch.device("cpu")))
    with pytest.raises(NonFiniteError) as again:
        list(train(make_job(spec, dataset, tmp_path), Solo(), torch.device("cpu")))
    assert again.value.args == caught.value.args


def test_what_a_checkpoint_came_too_late_for_is_looked_for_from_the_beginning(tmp_path: Path) -> None:
    spec, dataset = prepared(IRIS)
    job = make_job(spec, dataset, tmp_path)
    broken = Fitting(network_of(spec, dataset.row_shape, dataset.num_outputs, None), spec)
    with torch.no_grad():
        for parameter in broken.network.parameters():
            parameter.fill_(torch.nan)
    Checkpoints(job.checkpoints, spec.training.checkpoints).write(Moment(0), broken.state_dict(Solo()))
    with pytest.raises(TrainingError, match="in epoch 1, but was when that was repeated"):  # nothing is wrong there
        list(train(job, Solo(), torch.device("cpu")))


def test_every_report_tells_the_gradient_norm_and_a_warning_once() -> None:
    model = {"family": "mlp", "hidden": [8] * 12, "activation": "sigmoid"}
    reports, _ = run(*prepared(IRIS, model=model))
    assert all(report.metrics["gradient_norm"] > 0 for report in reports)
    assert [kind for report in reports for kind, _ in report.health.warnings] == ["vanishing_gradients"]


def test_a_resumed_job_does_not_warn_again(tmp_path: Path) -> None:
    model = {"family": "mlp", "hidden": [8] * 12, "activation": "sigmoid"}
    spec, dataset = prepared(IRIS, model=model)
    longer, _ = prepared(IRIS, model=model, training={"epochs": 8})
    events = [list(train(make_job(each, dataset, tmp_path), Solo(), torch.device("cpu"))) for each in (spec, longer)]
    told = [[e.health.warnings for e in each if isinstance(e, EpochReport)] for each in events]
    assert len(told[1]) == 8
    assert told[1][:4] == told[0]
    assert sum(map(bool, told[1])) == 1
