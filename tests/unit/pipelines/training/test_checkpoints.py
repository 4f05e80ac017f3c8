"""Checkpoints: whole or not there, and a fitting that goes on from one ends with the same bits."""

import hashlib
import io
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.data.loading import load_dataset
from pipelines.errors import SupersededError, TrainingError
from pipelines.models.network import build_network
from pipelines.spec.training import Checkpointing
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec
from pipelines.training import slabs
from pipelines.training.checkpoints import Checkpoints, Moment, claimed, forget
from pipelines.training.loop import EpochReport, Fitting, fit
from pipelines.training.slabs import Part
from pipelines.training.team import Solo, T
from pipelines.training.worker import Job, Trained, make_job, train

CPU = torch.device("cpu")

IRIS = {
    "data": {"source": "sklearn", "dataset": "iris"},
    "model": {"family": "mlp", "hidden": [8]},
    "training": {"epochs": 12},
}

JOBS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": {"name": "adam", "learning_rate": 0.02}},
    "momentum": {"optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}},
    "adagrad": {"optimizer": {"name": "adagrad"}},
    "descent": {"optimizer": {"name": "gd"}},
    "decay, cosine, clipping": {
        "optimizer": {"name": "adamw", "clip_norm": 0.5},
        "schedule": {"name": "cosine", "warmup_epochs": 1.5},
    },
    "plateau": {
        "optimizer": {"name": "rmsprop"},
        "schedule": {"name": "reduce_on_plateau", "patience": 1, "min_delta": 0.1},
    },
    "dropout, batch norm": {"model": {"family": "mlp", "hidden": [8], "norm": "batch", "dropout": 0.3}},
    "convolution": {
        "data": {"source": "sklearn", "dataset": "iris", "shape": [1, 2, 2]},
        "model": {"family": "cnn", "channels": [4], "hidden": []},
    },
    "recurrence": {
        "data": {"source": "sklearn", "dataset": "iris", "shape": [2, 2]},
        "model": {"family": "rnn", "hidden_size": 4},
    },
}

SETTINGS = Checkpointing()

STOPPING = {
    "optimizer": {"name": "sgd", "learning_rate": 2.0, "momentum": 0.9},
    "training": {"epochs": 200, "early_stopping": {"patience": 4}},
}
"""Overshoots, so that it stops early."""


def spec_of(**sections: object) -> TrainingSpec:
    return build_spec(IRIS | sections)


def job_of(spec: TrainingSpec, folder: Path | None = None) -> Job:
    return make_job(spec, load_dataset(spec), folder)


def carried_out(job: Job) -> tuple[list[EpochReport], Trained]:
    *reports, last = train(job, Solo(), CPU)
    assert isinstance(last, Trained)
    return [report for report in reports if isinstance(report, EpochReport)], last


def leave_checkpoint(job: Job, epoch: int) -> None:
    """What a worker that is lost after an epoch leaves behind."""
    torch.manual_seed(job.spec.seed)
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed)
    train_part, validation_part = (
        Part(torch.from_numpy(rows.features), torch.from_numpy(rows.targets)) for rows in (job.train, job.validation)
    )
    fitting, checkpoints = Fitting(network, job.spec), Checkpoints(job.checkpoints, SETTINGS)
    for report in fit(fitting, job.spec, train_part, validation_part, job.target_deviation, Solo()):
        checkpoints.write(Moment(report.epoch), fitting.state_dict(Solo()))
        if report.epoch == epoch:
            return
    raise AssertionError(f"the job has no epoch {epoch}")


class LostError(Exception):
    """The worker is gone."""


def leave_checkpoint_within(job: Job, epoch: int, updates: int) -> None:
    """What a worker that is lost within an epoch leaves behind, after so many updates of it."""
    network = build_network(job.spec.model, job.train.features.shape[1:], job.num_outputs, job.spec.seed)
    train_part, validation_part = (
        Part(torch.from_numpy(rows.features), torch.from_numpy(rows.targets)) for rows in (job.train, job.validation)
    )
    fitting, checkpoints = Fitting(network, job.spec), Checkpoints(job.checkpoints, SETTINGS)

    def pause() -> None:
        if (len(fitting.reports), fitting.passed.updates) == (epoch - 1, updates):
            checkpoints.write(Moment(epoch - 1, updates), fitting.state_dict(Solo()))
            raise LostError

    with pytest.raises(LostError):
        list(fit(fitting, job.spec, train_part, validation_part, job.target_deviation, Solo(), pause=pause))


def figures(reports: list[EpochReport]) -> list[object]:
    """All of the epochs that does not depend on the clock."""
    return [(report.epoch, report.train, report.validation, report.penalty, report.best) for report in reports]


def assert_same(came: tuple[list[EpochReport], Trained], expected: tuple[list[EpochReport], Trained]) -> None:
    assert figures(came[0]) == figures(expected[0])
    assert came[1].best_epoch == expected[1].best_epoch
    assert {name: weight.tobytes() for name, weight in came[1].weights.items()} == {
        name: weight.tobytes() for name, weight in expected[1].weights.items()
    }


@pytest.mark.parametrize("kind", JOBS)
@pytest.mark.parametrize("lost_after", [1, 5, 12])
def test_a_resumed_job_ends_with_the_same_bits(kind: str, lost_after: int, tmp_path: Path) -> None:
    spec = spec_of(**JOBS[kind])
    leave_checkpoint(job_of(spec, tmp_path), lost_after)
    assert_same(carried_out(job_of(spec, tmp_path)), carried_out(job_of(spec)))


@pytest.mark.parametrize("kind", [kind for kind in JOBS if kind != "descent"])  # its epochs have one update
@pytest.mark.parametrize("lost_at", [(1, 1), (1, 3), (5, 2)])
def test_a_job_resumed_within_an_epoch_ends_with_the_same_bits(
    kind: str, lost_at: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slabs, "_SLAB_BYTES", 1)  # a slab a batch
    spec = spec_of(**JOBS[kind])
    leave_checkpoint_within(job_of(spec, tmp_path), *lost_at)
    assert_same(carried_out(job_of(spec, tmp_path)), carried_out(job_of(spec)))


def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    spec = spec_of(**STOPPING)
    undisturbed = carried_out(job_of(spec))
    last = len(undisturbed[0])
    assert undisturbed[1].best_epoch < last < 200
    for lost_after in (last - 2, last):
        folder = tmp_path / str(lost_after)
        leave_checkpoint(job_of(spec, folder), lost_after)
        assert_same(carried_out(job_of(spec, folder)), undisturbed)


def test_a_checkpoint_holds_the_best_weights_beside_the_last(tmp_path: Path) -> None:
    job = job_of(spec_of(**STOPPING), tmp_path)
    reports, trained = carried_out(job)
    state = Checkpoints(job.checkpoints, SETTINGS).read(Moment(len(reports)))
    assert trained.best_epoch < len(reports)
    for name, weight in trained.weights.items():
        assert state["best"]["weights"][name].numpy().tobytes() == weight.tobytes()
        assert not torch.equal(state["network"][name], state["best"]["weights"][name])


def test_other_data_is_another_job(tmp_path: Path) -> None:
    spec = spec_of()
    leave_checkpoint(job_of(spec, tmp_path), 5)
    wine = spec_of(data={"source": "sklearn", "dataset": "wine"})
    assert_same(carried_out(job_of(wine, tmp_path)), carried_out(job_of(wine)))


def test_the_last_epoch_always_has_a_checkpoint(tmp_path: Path) -> None:
    job = job_of(spec_of(), tmp_path)
    carried_out(job)
    assert Checkpoints(job.checkpoints, SETTINGS).newest() == Moment(12)
    forget(tmp_path)
    assert not tmp_path.exists()
    forget(tmp_path)


def test_without_a_folder_nothing_is_kept() -> None:
    checkpoints = Checkpoints(None, SETTINGS)
    checkpoints.write(Moment(1), {})
    assert checkpoints.newest() is None


def write(folder: Path, *moments: Moment, keep: int = 2) -> None:
    for moment in moments:
        state = {"epoch": moment.epochs, "values": torch.arange(5)}
        Checkpoints(folder, Checkpointing(keep=keep)).write(moment, state)


def newest_file(folder: Path) -> Path:
    return max(folder.iterdir())


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_ones_are_kept(keep: int, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    moments = [Moment(1), Moment(2), Moment(9, 3), Moment(9, 20), Moment(10)]
    write(folder, *moments, keep=keep)
    assert [file.name[:17] for file in sorted(folder.iterdir())] == [
        f"{epochs:08d}-{updates:08d}" for epochs, updates in moments[-keep:]
    ]
    state = Checkpoints(folder, SETTINGS).read(Moment(10))
    assert state["epoch"] == 10
    assert torch.equal(state["values"], torch.arange(5))


@pytest.mark.parametrize("damage", ["torn", "altered", "empty", "a folder"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(damage: str, tmp_path: Path) -> None:
    write(tmp_path, Moment(1), Moment(1, 7))
    file = newest_file(tmp_path)
    content = file.read_bytes()
    match damage:
        case "torn":
            file.write_bytes(content[: len(content) // 2])
        case "altered":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "empty":
            file.write_bytes(b"")
        case _:
            file.unlink()
            file.mkdir()
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    assert checkpoints.newest() == Moment(1)
    assert checkpoints.read(Moment(1))["epoch"] == 1
    with pytest.raises(FileNotFoundError, match="no whole checkpoint of 1 epochs and 7 updates"):
        checkpoints.read(Moment(1, 7))


def test_what_a_killed_writer_left_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / "00000001-00000000-77.part").write_bytes(b"half")
    assert Checkpoints(tmp_path, SETTINGS).newest() is None
    write(tmp_path, Moment(1))
    assert [file.suffix for file in tmp_path.iterdir()] == [".pt"]


def test_reading_runs_no_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("code of a checkpoint has run",))

    buffer = io.BytesIO()
    torch.save({"state": Trap()}, buffer)
    content = buffer.getvalue()
    (tmp_path / f"00000001-00000000-{hashlib.sha256(content).hexdigest()}.pt").write_bytes(content)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        Checkpoints(tmp_path, SETTINGS).read(Moment(1))


def test_a_disk_that_takes_nothing_stops_no_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    job = job_of(spec_of(), tmp_path / "file")
    assert_same(carried_out(job), carried_out(job_of(spec_of())))
    assert "could not write the checkpoint of 12 epochs" in caplog.text


def test_short_epochs_have_no_checkpoint_each(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    began_s = time.monotonic()
    assert asked_until_due(checkpoints, Moment(1)) > 10
    assert time.monotonic() - began_s > 0.9


def asked_until_due(checkpoints: Checkpoints, moment: Moment) -> int:
    """How often it had to be asked."""
    until_s, asked = time.monotonic() + 30, 1
    while not checkpoints.is_due(moment):
        assert time.monotonic() < until_s
        asked += 1
    return asked


def test_within_an_epoch_checkpoints_are_further_apart(tmp_path: Path) -> None:
    often, seldom = (Checkpoints(tmp_path, Checkpointing(every_minutes=minutes)) for minutes in (0, 1))
    asked_until_due(often, Moment(0, 5))
    asked_until_due(seldom, Moment(1))
    assert not seldom.is_due(Moment(0, 5))


def test_a_worker_that_does_not_see_the_checkpoint_of_the_first_says_so(tmp_path: Path) -> None:
    class Second(Solo):
        """A worker of two, whose mate has a checkpoint of epoch 3."""

        rank, size = 1, 2

        def gather(self, mine: T, /) -> list[T]:
            theirs: Any = Moment(3)
            return [theirs, mine]

    with pytest.raises(TrainingError, match=r"no whole checkpoint of 3 epochs in .*do all nodes share DRIVETRAIN_HOME"):
        list(train(job_of(spec_of(), tmp_path), Second(), CPU))


def test_one_process_at_a_time_works_on_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    with claimed("run"):
        with pytest.raises(SupersededError, match="another process is at work on run run"), claimed("run"):
            pass
        with claimed("other"):
            pass
    with claimed("run"):
        pass
