"""Workers that are killed in the middle of a job: others go on from the checkpoint, to the same weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.data.loading import load_dataset
from pipelines.errors import TrainingError, WorkerLostError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.launcher import Replaced, launch
from pipelines.training.loop import EpochReport
from pipelines.training.worker import Job, Trained, make_job
from tests.integration.pipelines.cluster import is_idle
from tests.integration.pipelines.jobs import FOREVER, small
from tests.integration.pipelines.processes import kill, titled
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cluster", "home")

DATA = {"source": "synthetic", "rows": 3000, "features": 4, "classes": 3}
"""Makes epochs long enough for a few of them to last seconds: checkpoints come about once a second."""

Figures = list[tuple[object, ...]]


@dataclass
class Launched:
    """A launch that came to its end."""

    figures: Figures
    """What each epoch came to."""
    weights: bytes
    """The final ones, to the bit."""
    replaced: list[Replaced]


def job_of(spec: TrainingSpec, folder: Path) -> Job:
    return make_job(spec, load_dataset(spec), folder)


def launched(job: Job, retries: int, on_epoch: Callable[[EpochReport], None] = lambda _: None) -> Launched:
    figures: Figures = []
    replaced: list[Replaced] = []
    for event in launch(job, retries):
        match event:
            case Trained():
                weights = b"".join(weight.tobytes() for weight in event.weights.values())
                return Launched(figures, weights, replaced)
            case EpochReport():
                figures.append((event.epoch, event.train, event.validation, event.penalty, event.best))
                on_epoch(event)
            case Replaced():
                replaced.append(event)
    raise AssertionError("no weights came")


class Killer:
    """Kills a worker once there is a checkpoint to go on from."""

    def __init__(self, job: Job) -> None:
        assert job.checkpoints is not None
        self._folder = job.checkpoints
        self.killed_after = 0

    def __call__(self, report: EpochReport) -> None:
        if not self.killed_after and list(self._folder.glob("*.pt")):
            kill(titled("ray::Worker")[0])
            self.killed_after = report.epoch


def assert_same(disturbed: Launched, job: Job) -> None:
    """As if the job had not been disturbed: all figures, each epoch once, and the weights."""
    undisturbed = launched(job, 0)
    assert [row[0] for row in disturbed.figures] == list(range(1, job.spec.training.epochs + 1))
    assert disturbed.figures == undisturbed.figures
    assert disturbed.weights == undisturbed.weights
    assert not undisturbed.replaced


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    spec = small(data=DATA, training={"epochs": 300})
    job = job_of(spec, tmp_path / "disturbed")
    killer = Killer(job)
    disturbed = launched(job, 1, killer)
    assert 0 < killer.killed_after < 300
    (replaced,) = disturbed.replaced
    assert (replaced.left, replaced.text.endswith("retries left: 0")) == (0, True)
    assert_same(disturbed, job_of(spec, tmp_path / "undisturbed"))
    eventually(is_idle)


def test_a_worker_that_is_lost_once_too_often_fails_the_job(tmp_path: Path) -> None:
    def kill_worker(report: EpochReport) -> None:
        if report.epoch == 1:
            kill(titled("ray::Worker")[0])

    with pytest.raises(WorkerLostError, match="a training worker was lost"):
        launched(job_of(small(training=FOREVER), tmp_path), 0, kill_worker)
    eventually(is_idle)


def test_a_fault_of_the_job_is_not_tried_again(tmp_path: Path) -> None:
    spec = small(
        data={"source": "sklearn", "dataset": "diabetes"},
        loss={"name": "mse"},
        optimizer={"name": "sgd", "learning_rate": 99},
    )
    events: list[object] = []
    with pytest.raises(TrainingError, match="no longer finite") as caught:
        events.extend(launch(job_of(spec, tmp_path), 3))
    assert not isinstance(caught.value, WorkerLostError)
    assert not any(isinstance(event, Replaced) for event in events)


@pytest.mark.slow
def test_a_fault_of_the_job_of_two_is_not_tried_again(tmp_path: Path) -> None:
    spec = small(
        data={"source": "sklearn", "dataset": "diabetes"},
        loss={"name": "mse"},
        optimizer={"name": "sgd", "learning_rate": 99},
        compute={"workers": 2},
    )
    events: list[object] = []
    with pytest.raises(TrainingError, match="no longer finite"):
        events.extend(launch(job_of(spec, tmp_path), 3))
    assert not any(isinstance(event, Replaced) for event in events)
