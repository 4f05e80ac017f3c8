"""Rows from shards train as resident ones do, and go on where they were left."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.shards import Block, Layout, Shards, write_shards
from pipelines.errors import NonFiniteError, TrainingError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training import slabs as module
from pipelines.training.batches import Batches
from pipelines.training.checkpoints import Checkpoints, Moment
from pipelines.training.loop import EpochReport
from pipelines.training.slabs import slabs
from pipelines.training.streamed import Streamed
from pipelines.training.team import Solo
from pipelines.training.worker import Job, Trained, _begun, _epochs, _Rows, _source, make_job, resident, train
from tests.unit.pipelines.data.albums import write_album
from tests.unit.pipelines.data.test_texts import data, letters

CPU = torch.device("cpu")
IRIS = {
    "data": {"source": "sklearn", "dataset": "iris"},
    "model": {"family": "mlp", "hidden": [8], "dropout": 0.2},
    "training": {"epochs": 5, "batch_size": 16},
}
DIVERGING: dict[str, Any] = {
    "data": {"source": "sklearn", "dataset": "diabetes"},
    "loss": {"name": "mse"},
    "optimizer": {"name": "sgd", "learning_rate": 100.0},
}
NUM_SHARDS = 4


def pictures(folder: Path) -> dict[str, Any]:
    """A network over coloured pictures that are mirrored and moved about."""
    album = write_album(folder / "album", pictures=30)
    return {
        "data": {"source": "images", "path": str(album), "size": [8, 6], "augment": {"flip": True, "shift": 0.2}},
        "model": {"family": "cnn", "channels": [4], "hidden": [8], "dropout": 0.2},
    }


def texts(folder: Path) -> dict[str, Any]:
    """A network over short letters."""
    letters().to_csv(folder / "letters.csv", index=False)
    return {"data": data(folder / "letters.csv"), "model": {"family": "rnn", "hidden_size": 4, "embedding_size": 4}}


def written(spec: TrainingSpec, dataset: Dataset, folder: Path) -> Shards:
    """All training rows, row r in shard r % 4: scaled, but pictures as pixels and tokens in two bytes."""
    train = make_job(spec, dataset).train
    features: NDArray[np.generic] = train.features
    if dataset.are_pictures:
        features = dataset.train.features.astype(np.uint8)
    elif dataset.text is not None:
        features = train.features.astype(np.uint16)

    def blocks() -> Iterator[Block]:
        places = np.arange(len(train)) % NUM_SHARDS
        order = np.argsort(places, kind="stable")
        assert train.ids is not None
        yield Block(features[order], train.targets[order], tuple(np.bincount(places).tolist()), train.ids[order])

    layout = Layout(dataset.row_shape, features.dtype.str, train.targets.dtype.str)
    return write_shards(folder, "key", NUM_SHARDS, layout, blocks())


def job_of(folder: Path, checkpoints: Path | None = None, **sections: object) -> Job:
    spec: TrainingSpec = build_spec(IRIS | sections)
    dataset = load_dataset(spec)
    return make_job(spec, dataset, checkpoints, written(spec, dataset, folder))


def source_of(job: Job) -> Streamed:
    source = _source(job, CPU)
    assert isinstance(source, Streamed)
    return source


def rows_of(source: Streamed, rank: int, size: int, epoch: int = 1) -> list[list[tuple[float, ...]]]:
    """The rows of each batch, as this worker gets them."""
    batches = Batches(len(source), 16, rank, size, source.groups)
    found = slabs(source, batches.stochastic(0, epoch), batches.share)
    return [[tuple(row) for row in chunk.inputs[0].tolist()] for slab in found for chunk in slab.chunks]


def test_every_row_comes_once_an_epoch(tmp_path: Path) -> None:
    job = job_of(tmp_path / "rows")
    source = source_of(job)
    expected = sorted(map(tuple, job.train.features.tolist()))
    for epoch in (1, 2):
        batches = rows_of(source, 0, 1, epoch)
        assert sorted(row for batch in batches for row in batch) == expected
        assert [len(batch) for batch in batches[:-1]] == [16] * (len(batches) - 1)
    assert rows_of(source, 0, 1, 1) != rows_of(source, 0, 1, 2)


def test_two_workers_share_the_batches_of_one(tmp_path: Path) -> None:
    source = source_of(job_of(tmp_path / "rows"))
    for whole, first, second in zip(*(rows_of(source, *of) for of in ((0, 1), (0, 2), (1, 2))), strict=True):
        assert (whole[::2], whole[1::2]) == (first, second)


def test_targets_stay_with_their_rows_and_rows_can_be_asked_for(tmp_path: Path) -> None:
    job = job_of(tmp_path / "rows")
    source = source_of(job)
    known = {tuple(row): target for row, target in zip(job.train.features.tolist(), job.train.targets, strict=True)}
    asked = torch.randperm(len(source))
    (features,), targets = source.take(asked)
    assert job.train.ids is not None
    numbers = {int(number): row for row, number in enumerate(job.train.ids)}
    places = [numbers[int(number)] for number in source.ids(asked)]
    np.testing.assert_array_equal(job.train.features[places], features)
    assert all(known[tuple(row)] == target for row, target in zip(features.tolist(), targets.tolist(), strict=True))


def carried_out(job: Job) -> tuple[list[object], dict[str, bytes]]:
    *reports, last = train(job, Solo(), CPU)
    assert isinstance(last, Trained)
    told = [(each.train, each.validation, each.best) for each in reports if isinstance(each, EpochReport)]
    return list(told), {name: weight.tobytes() for name, weight in last.weights.items()}


class LostError(Exception):
    """The worker is gone."""


@pytest.mark.parametrize(
    ("lost_at", "sections"),
    [((1, 3), None), ((3, 5), None), ((2, 1), None), ((2, 2), pictures), ((2, 1), texts)],
    ids=["first", "third", "early", "pictures", "texts"],
)
def test_a_lost_job_goes_on_to_the_same_bits(
    lost_at: tuple[int, int],
    sections: Callable[[Path], dict[str, Any]] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SLAB_BYTES", 1)  # a slab a batch
    given = sections(tmp_path) if sections else {}
    job = job_of(tmp_path / "rows", tmp_path / "checkpoints", **given)
    expected = carried_out(job_of(tmp_path / "others", **given))
    fitting = _begun(job, CPU, rank=0)
    checkpoints = Checkpoints(job.checkpoints, job.spec.training.checkpoints)
    rows = _Rows(_source(job, CPU), resident(job.validation, CPU))

    def pause() -> None:
        moment = Moment(len(fitting.reports), fitting.passed.updates)
        if (moment.epochs + 1, moment.updates) == lost_at:
            checkpoints.write(moment, fitting.state_dict(Solo()))
            raise LostError

    with pytest.raises(LostError):
        list(_epochs(job, fitting, rows, Solo(), pause))
    assert carried_out(job) == expected


def test_what_was_done_is_not_read_again(tmp_path: Path) -> None:
    job = job_of(tmp_path / "rows")
    source = source_of(job)
    updates = list(Batches(len(source), 16, 0, 1, source.groups).stochastic(0, 1))
    list(slabs(source, updates[-1:], 16))
    assert len(source.reader._checked) == 1


def test_a_loss_that_is_not_finite_is_explained(tmp_path: Path) -> None:
    job = job_of(tmp_path / "rows", **DIVERGING)
    with pytest.raises(NonFiniteError, match="with the training rows") as caught:
        list(train(job, Solo(), CPU))
    assert job.train.ids is not None
    assert set(caught.value.rows) <= set(job.row_names.of(job.train.ids))
    with pytest.raises(NonFiniteError) as resident:
        list(train(replace(job, shards=None), Solo(), CPU))
    assert set(resident.value.rows) <= set(job.row_names.of(job.train.ids))


def test_rows_that_a_worker_does_not_see_are_told_of_before_the_first_step(tmp_path: Path) -> None:
    job = job_of(tmp_path / "rows")
    assert job.shards is not None
    elsewhere = replace(job.shards, folder=str(tmp_path / "elsewhere"))
    with pytest.raises(TrainingError, match=r"elsewhere, which the worker on .* does not have; put DRIVETRAIN_HOME on"):
        next(train(replace(job, shards=elsewhere), Solo(), CPU))


def test_an_error_of_the_reader_comes_through_and_leaves_no_thread(tmp_path: Path) -> None:
    def broken() -> Iterator[module.Slab]:
        yield module.Slab([], torch.zeros(1))
        raise LostError

    found = module.ahead(broken(), 3)
    assert len(next(found).targets) == 1
    with pytest.raises(LostError):
        next(found)


def test_pictures_have_their_channels_last(tmp_path: Path) -> None:
    source = source_of(job_of(tmp_path / "rows", data={"source": "sklearn", "dataset": "digits", "shape": [1, 8, 8]}))
    (taken,), _ = source.take(torch.arange(3))
    (resident,), _ = source.sample.take(torch.arange(3))
    assert taken.stride() == resident.stride() == (64, 1, 8, 1)


@pytest.mark.parametrize("sections", [pictures, texts])
def test_what_shards_keep_in_less_is_taken_as_resident_rows_are(
    sections: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    source = source_of(job_of(tmp_path / "rows", **sections(tmp_path)))
    assert source.reader.take(np.arange(1))[0].itemsize < source.sample.features.itemsize
    places = torch.arange(len(source)) % NUM_SHARDS
    (taken,), targets = source.take(torch.arange(len(source)))
    (expected,), known = source.sample.take(torch.argsort(places, stable=True))
    assert (taken.dtype, taken.stride()) == (expected.dtype, expected.stride())
    assert torch.equal(taken, expected)
    assert torch.equal(targets, known)
