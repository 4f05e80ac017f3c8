"""The journal's lines and the fence, on a disk of the test's own."""

import json
import logging
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import SupersededError
from pipelines.evaluation.metrics import Evaluation
from pipelines.pipeline import Outcome
from pipelines.registry.promotion import Decision
from pipelines.training.loop import EpochReport
from pipelines.training.tally import Measures
from services.training.journal import Journal, JournalHandler, attempt_path, fence_of, read_fence, write_fence

REPORT = EpochReport(
    epoch=7,
    train=Measures(0.5, {"accuracy": 0.75}),
    validation=Measures(0.25, {"accuracy": math.nan}),
    penalty=0.125,
    learning_rate=0.01,
    seconds=2.0,
    rows_per_second=100.0,
    best=True,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    return tmp_path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_is_there_as_soon_as_it_is_told(home: Path) -> None:
    path = attempt_path("r1", 2)
    assert path == home / "jobs/r1/attempt-2.jsonl"
    with Journal(path) as journal:
        journal.stage("loading data")
        assert [(line["kind"], line["text"]) for line in lines(path)] == [("stage", "loading data")]
        journal.epoch(REPORT)
        journal.failure("no luck")
    _, epoch, failure = lines(path)
    assert epoch["epoch"] == 7
    assert epoch["metrics"] == {
        "train_loss": 0.5,
        "val_loss": 0.25,
        "train_accuracy": 0.75,
        "penalty": 0.125,
        "learning_rate": 0.01,
        "epoch_seconds": 2.0,
        "rows_per_second": 100.0,
    }
    assert (failure["kind"], failure["reason"]) == ("failure", "no luck")
    told = datetime.fromisoformat(failure["time"])
    assert abs((datetime.now(UTC) - told).total_seconds()) < 60
    assert failure["time"].endswith("+00:00")


def test_the_outcome_names_version_verdict_and_figures() -> None:
    evaluation = Evaluation({"loss": 0.5, "accuracy": 0.9}, np.arange(3), np.arange(3))
    outcome = Outcome("m", "3", Decision(True, "better"), "r1", 5, evaluation, evaluation, 12.5)
    with Journal(attempt_path("r1", 1)) as journal:
        journal.outcome(outcome)
    (line,) = lines(attempt_path("r1", 1))
    del line["time"]
    assert line == {
        "kind": "outcome",
        "version": "3",
        "promoted": True,
        "reason": "better",
        "best_epoch": 5,
        "test": {"loss": 0.5, "accuracy": 0.9},
        "seconds": 12.5,
    }


def test_what_is_logged_is_told_with_its_traceback() -> None:
    logger = logging.getLogger("some.place")
    with Journal(attempt_path("r1", 1)) as journal:
        handler = JournalHandler(journal)
        logger.addHandler(handler)
        try:
            logger.warning("half of %d", 2)
            logger.debug("details")
            try:
                int("two\nlines")
            except ValueError:
                logger.exception("it broke")
        finally:
            logger.removeHandler(handler)
    warning, error = lines(attempt_path("r1", 1))
    assert (warning["level"], warning["logger"], warning["text"]) == ("WARNING", "some.place", "half of 2")
    assert error["text"].startswith("it broke\nTraceback")
    assert error["text"].endswith("with base 10: 'two\\nlines'")


@pytest.mark.parametrize(("name", "told"), [("services.training.driver", True), ("onnxscript.optimizer", False)])
def test_information_of_others_is_not_told(name: str, told: bool) -> None:
    with Journal(attempt_path("r1", 1)) as journal:
        record = logging.LogRecord(name, logging.INFO, "file", 1, "a detail", None, None)
        JournalHandler(journal).handle(record)
    assert len(lines(attempt_path("r1", 1))) == told


def test_a_journal_goes_on_where_it_was() -> None:
    for text in ("first", "second"):
        with Journal(attempt_path("r1", 1)) as journal:
            journal.stage(text)
    assert [line["text"] for line in lines(attempt_path("r1", 1))] == ["first", "second"]


def test_a_line_that_cannot_be_written_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(attempt_path("r1", 1)) as journal:
        pass
    journal.stage("too late")
    assert "the journal took no line" in capsys.readouterr().err
    assert lines(attempt_path("r1", 1)) == []


def test_the_fence_ends_earlier_attempts_only(home: Path) -> None:
    assert read_fence("r1") == 0
    fence_of("r1", 1)()
    write_fence("r1", 2)
    assert read_fence("r1") == 2
    fence_of("r1", 2)()
    fence_of("r1", 3)()
    with pytest.raises(SupersededError, match="attempt 1 at job r1 is over: attempt 2 has the run"):
        fence_of("r1", 1)()
    assert [file.name for file in (home / "jobs/r1").iterdir()] == ["fence"]


def test_a_warning_comes_to_the_journal_as_a_log_line() -> None:
    path = attempt_path("r1", 1)
    with Journal(path) as journal:
        handler = JournalHandler(journal)
        logging.getLogger().addHandler(handler)
        try:
            journal.warning("epoch 2: half of it is dead")
        finally:
            logging.getLogger().removeHandler(handler)
    (line,) = lines(path)
    assert (line["kind"], line["level"], line["text"]) == ("log", "WARNING", "epoch 2: half of it is dead")
    assert line["logger"] == "services.training.journal"
