"""The figures, targets, tables and plot of the training benchmark, and what its contestants are given and tell."""

import json
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.benchmarks.training import contestants
from tests.benchmarks.training.__main__ import EXIT_INCOMPLETE, EXIT_MISSED, exit_status, parse
from tests.benchmarks.training.contestants import CONTESTANTS, Contestant, RunError
from tests.benchmarks.training.figures import (
    Key,
    Measurement,
    Scaling,
    Starts,
    read_scaling,
    read_starts,
    summarise,
)
from tests.benchmarks.training.peers.task import scores
from tests.benchmarks.training.plot import draw
from tests.benchmarks.training.report import on_ray, table, write_json, write_markdown
from tests.benchmarks.training.targets import scaling_verdict, start_verdict, verdicts
from tests.benchmarks.training.work import job_of, prepare
from tests.benchmarks.verdicts import Verdict

TITLES = {contestant.name: contestant.title for contestant in CONTESTANTS}


def measurement(key: Key, ms_a_step: float, loss: float = 0.5, accuracy: float = 0.9, mib: float = 300) -> Measurement:
    """Of ten steps of 32 rows an epoch, the first of which is slow."""
    seconds = (9.0, *[ms_a_step / 100] * 3)
    return Measurement(key, 0, 320, 10, seconds, loss, accuracy, int(mib * 2**20))


MEASUREMENTS = [
    measurement(Key("mlp", "drivetrain"), 0.2),
    measurement(Key("mlp", "plain"), 0.5, mib=250),
    measurement(Key("mlp", "lightning"), 0.6),
    measurement(Key("cnn", "drivetrain"), 3, loss=0.08, accuracy=0.985),
    measurement(Key("cnn", "drivetrain-fp32"), 5, accuracy=0.99),
    measurement(Key("cnn", "plain"), 6, loss=0.1),
]
CELLS = summarise(MEASUREMENTS)


def test_the_first_epoch_is_left_out_and_medians_are_taken() -> None:
    key = Key("mlp", "drivetrain")
    cell = summarise(measurement(key, ms) for ms in (1.0, 9.0, 2.0))[key]
    assert (cell.ms_a_step, cell.rows_per_second, cell.first_epoch_s) == pytest.approx((2.0, 16_000, 9.0))


def test_each_target_is_a_ratio_within_the_run() -> None:
    found = {verdict.figure: (round(verdict.reached, 6), verdict.holds) for verdict in verdicts(CELLS)}
    assert found == {
        "mlp: times faster a step than plain": (2.5, True),
        "mlp: times faster a step than lightning": (3.0, False),
        "mlp: peak memory to the plain loop's": (1.2, True),
        "mlp: final loss apart from the plain loop's": (0.0, True),
        "cnn: times faster a step than plain": (2.0, False),
        "cnn: peak memory to the plain loop's": (1.0, True),
        "cnn: final loss apart from the plain loop's": (0.02, True),
        "cnn: points of accuracy below fp32": (0.5, False),
    }


def test_what_is_measured_on_ray_is_judged_too() -> None:
    starts = read_starts({"drivetrain": [1.0, 9.0, 2.0], "torch-trainer": [10.0, 8.0, 9.0]})
    assert starts == Starts(2.0, 9.0)
    assert start_verdict(starts).holds
    told = {"rows_per_second": {"1": [10.0, 30.0, 20.0], "2": [31.0]}, "losses": {"1": [0.5, 0.4], "2": [0.5, 0.41]}}
    scaling = read_scaling(told)
    assert scaling.rows_per_second == {1: 20.0, 2: 31.0}
    assert scaling.largest_difference == pytest.approx(0.025)
    assert not scaling_verdict(scaling).holds
    assert scaling_verdict(Scaling({1: 1.0, 2: 1.0}, 1e-6)).holds
    assert len(on_ray(starts, scaling)) == 2
    assert on_ray(None, None) == []


def test_times_are_told_against_drivetrains() -> None:
    console = Console(file=StringIO(), width=200)
    console.print(table(CELLS, TITLES))
    assert isinstance(console.file, StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["mlp", "Drivetrain", "0.200", "1.00", "160,000", "9.00", "0.5000", "90.00", "%", "300"] in lines
    assert ["torch", "DataLoader", "loop", "6.000", "2.00", "5,333", "9.00", "0.1000", "90.00", "%", "300"] in lines


def test_the_readmes_table_has_whoever_does_everything(tmp_path: Path) -> None:
    write_markdown(tmp_path / "table.md", CELLS, TITLES)
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "| work | Drivetrain | torch DataLoader loop |",
        "|---|--:|--:|",
        "| mlp | 0.20 (160,000) | 0.50 (64,000) |",
        "| cnn | 3.00 (10,667) | 6.00 (5,333) |",
    ]


def test_the_json_holds_everything(tmp_path: Path) -> None:
    write_json(tmp_path / "training.json", MEASUREMENTS, {"starting": {"drivetrain": [1.0]}}, ["keras is missing"])
    content = json.loads((tmp_path / "training.json").read_text())
    assert content["failures"] == ["keras is missing"]
    assert content["starting"] == {"drivetrain": [1.0]}
    assert content["measurements"][1]["key"] == {"work": "mlp", "contestant": "plain"}


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    draw(tmp_path / "training.png", CELLS, TITLES)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_the_exit_status_tells_missed_targets_from_missing_figures() -> None:
    good, bad = Verdict("x", 2, 1), Verdict("x", 1, 2)
    assert exit_status([good], []) == 0
    assert exit_status([good, bad], []) == EXIT_MISSED
    assert exit_status([good, bad], ["keras is missing"]) == EXIT_INCOMPLETE
    assert exit_status([], []) == EXIT_INCOMPLETE


@pytest.mark.parametrize("arguments", [["--repetitions", "0"], ["--works", "resnet"], ["--on-ray", "everything"]])
def test_wrong_choices_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)


def test_logits_are_scored_as_everybodys() -> None:
    logits = np.array([[0.0, 0.0], [np.log(3), 0.0], [1000.0, 0.0]], np.float32)
    loss, accuracy = scores(logits, np.array([0, 0, 0]))
    assert loss == pytest.approx((np.log(2) + np.log(4 / 3)) / 3)
    assert accuracy == 1


@pytest.mark.parametrize("peer", ["own", "plain"])
def test_a_contestant_leaves_its_figures(peer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contestants, "environment", lambda *_: Path(sys.executable))  # spares the installation
    prepare(job_of("mlp", tmp_path, ("training.epochs=2",)), tmp_path / "work")
    measured = Contestant(peer, peer, peer).run("mlp", tmp_path / "work", tmp_path, repetition=1)
    assert (measured.key, measured.repetition, len(measured.seconds)) == (Key("mlp", peer), 1, 2)
    assert measured.steps == -(-measured.rows // 32)
    assert 1 < measured.loss < 4
    assert measured.peak_bytes > 50 * 2**20


def test_a_contestant_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with pytest.raises(RunError, match=r"job\.pickle"):
        Contestant("drivetrain", "Drivetrain", "own").run("mlp", tmp_path / "work", tmp_path, repetition=0)
