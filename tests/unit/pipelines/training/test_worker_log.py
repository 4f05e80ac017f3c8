"""What a worker logs as a warning travels; what it tells for information does not."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from pipelines.errors import TrainingError
from pipelines.training import worker_log
from pipelines.training.worker import Trained, Warned, observed
from pipelines.training.worker_log import WorkerLog

_log = logging.getLogger("somebody")


def test_warnings_are_kept_once_and_taken_once() -> None:
    with WorkerLog() as log:
        _log.info("all is well")
        for _ in range(3):
            _log.warning("the disk is %s", "full")
        _log.error("no more")
        assert log.take() == ("the disk is full", "no more")
        _log.warning("the disk is full")
        assert log.take() == ()
    _log.warning("nobody listens")
    assert log.take() == ()


@pytest.mark.filterwarnings("default")
def test_pythons_own_warnings_are_among_them() -> None:
    with WorkerLog() as log:
        warnings.warn("it will be gone", FutureWarning, stacklevel=1)
    (text,) = log.take()
    assert "FutureWarning: it will be gone" in text


def test_a_flood_is_cut_off() -> None:
    with WorkerLog() as log:
        for number in range(1000):
            _log.warning("%d %s", number, "x" * 10_000)
        texts = log.take()
    assert len(texts) == worker_log._MOST
    assert max(map(len, texts)) == worker_log._MOST_CHARACTERS


def test_what_was_logged_before_an_error_comes_before_it() -> None:
    def failing() -> Iterator[Trained]:
        _log.warning("the checkpoint is not whole")
        raise TrainingError("no more")
        yield

    events = observed(failing(), rank=1)
    assert next(events) == Warned(1, ("the checkpoint is not whole",))
    with pytest.raises(TrainingError, match="no more"):
        next(events)
