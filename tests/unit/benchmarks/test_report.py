"""The table, the plot and the JSON of the serving benchmark."""

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.serving.__main__ import EXIT_INCOMPLETE, EXIT_WRONG, exit_status, parse
from tests.benchmarks.serving.contestants import REFERENCES
from tests.benchmarks.serving.figures import Key, Measurement, summarise
from tests.benchmarks.serving.grid import Plan
from tests.benchmarks.serving.plot import draw
from tests.benchmarks.serving.report import table, write_json, write_markdown
from tests.unit.benchmarks.test_figures import measurement

TITLES = {"ours": "Drivetrain", "triton-1": "Triton, 1 instance", "triton-2": "Triton, 2 instances"}
MEASUREMENTS = [
    measurement(Key("mlp", 64, "ours"), 60_000, 2.0),
    measurement(Key("mlp", 64, "triton-1"), 15_000, 8.0),
    measurement(Key("mlp", 64, "triton-2"), 20_000, 10.0, errors=7),
    measurement(Key("cnn", 1, "ours"), 2_500, 0.5, problems=("off",)),
]


def rows(measurements: list[Measurement]) -> list[list[str]]:
    console = Console(file=StringIO(), width=200)
    console.print(table(summarise(measurements), TITLES, REFERENCES))
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    return [line.split() for line in lines if "Drivetrain" in line or "Triton," in line]


def test_the_readmes_table_has_the_best_of_each_column(tmp_path: Path) -> None:
    columns = {"Drivetrain": ("ours",), "Triton": ("triton-1", "triton-2")}
    write_markdown(tmp_path / "table.md", summarise(MEASUREMENTS), columns)
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "| model | in flight | Drivetrain | Triton | ratio |",
        "|---|--:|--:|--:|--:|",
        "| mlp | 64 | 60,000 (2.00) | 20,000 (8.00) | 3.00 |",
        "| cnn | 1 | 2,500 (0.50) |  |  |",
    ]


def test_ratios_are_against_the_better_triton() -> None:
    ours, one, two, _ = rows(MEASUREMENTS)
    assert ours == ["mlp", "64", "Drivetrain", "60,000", "3.00", "1.00", "2.00", "0.25", "0", "5"]
    assert one[-7:] == ["15,000", "0.75", "4.00", "8.00", "1.00", "0", "5"]
    assert two[-7:] == ["20,000", "1.00", "5.00", "10.00", "1.25", "7", "5"]


def test_a_cell_without_triton_has_figures_but_no_ratio_and_tells_wrong_answers() -> None:
    assert " ".join(rows(MEASUREMENTS)[-1]) == "cnn 1 Drivetrain 2,500 0.25 0.50 0 1 of 5 wrong"


def test_the_json_holds_every_measurement_and_failure(tmp_path: Path) -> None:
    file = tmp_path / "serving.json"
    write_json(file, Plan((1, 64), 3, 1, 1), MEASUREMENTS, ["mlserver could not be set up"])
    content = json.loads(file.read_text())
    assert content["failures"] == ["mlserver could not be set up"]
    assert content["plan"]["in_flight"] == [1, 64]
    assert len(content["measurements"]) == len(MEASUREMENTS)
    assert content["measurements"][2] == {
        "model": "mlp",
        "in_flight": 64,
        "contestant": "triton-2",
        "repetition": 0,
        "requests_per_second": 20_000,
        "p50_ms": 5.0,
        "p99_ms": 10.0,
        "requests": 1000,
        "errors": 7,
        "checked": 5,
        "problems": [],
    }


def test_the_plot_is_a_picture_also_where_contestants_are_missing_in_a_cell(tmp_path: Path) -> None:
    file = tmp_path / "serving.png"
    draw(file, summarise(MEASUREMENTS), TITLES)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_the_exit_status_tells_wrong_answers_from_missing_contestants() -> None:
    good, bad = (list(summarise([measurement(Key("mlp", 1, "ours"), 1, errors=errors)]).values()) for errors in (0, 1))
    assert exit_status(good, []) == 0
    assert exit_status(good, ["triton-1 could not be set up"]) == EXIT_INCOMPLETE
    assert exit_status(bad, ["triton-1 could not be set up"]) == EXIT_WRONG
    assert exit_status([], []) == EXIT_INCOMPLETE


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--models", "resnet"], ["--contestants", "nobody"]])
def test_wrong_choices_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(arguments)
