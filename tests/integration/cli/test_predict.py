"""`predict` against a real prediction service, from every kind of file."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.cli.errors import InputError
from tests.integration.cli.commands import drivetrain, running
from tests.integration.cli.conftest import MODEL, invoke
from tests.integration.pipelines.jobs import Home
from tests.integration.pipelines.ports import free_port

WET, DRY = [2.0, 2.1], [-2.0, -1.9]


@pytest.fixture(scope="module")
def address(trained: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("serving")
    trained.copy_to(home)
    port = free_port()
    options = ["--port", str(port), "--metrics-port", "0", "--rest-port", "0"]
    with running(*options, home=home, command=[sys.executable, "-m", "services.prediction"]) as service:
        service.wait_for("ready: 1 models serve")
        yield f"127.0.0.1:{port}"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same two rows in every form, in the working directory."""
    monkeypatch.chdir(tmp_path)
    named = [dict(zip(("height", "width"), row, strict=True)) for row in (WET, DRY)]
    np.save(tmp_path / "rows.npy", np.array([WET, DRY]))
    (tmp_path / "lists.json").write_text(json.dumps([WET, DRY]))
    (tmp_path / "objects.json").write_text(json.dumps(named))
    (tmp_path / "rows.csv").write_text("note,width,height\nx,2.1,2.0\ny,-1.9,-2.0\n")
    (tmp_path / "short.csv").write_text("height\n2.0\n")
    (tmp_path / "wide.json").write_text("[[1, 2, 3]]")
    return tmp_path


@pytest.mark.parametrize("name", ["rows.npy", "lists.json", "objects.json", "rows.csv"])
def test_every_kind_of_file_gives_the_same_table(name: str, address: str, files: Path) -> None:
    result = invoke("predict", MODEL, name, "--address", address)
    assert result.exit_code == 0, result.output
    title, header, *rows = result.output.splitlines()
    assert title == f"{MODEL}, version 2"
    assert header.split() == ["row", "prediction", "probability"]
    assert [row.split()[:2] for row in rows] == [["1", "[wet]"], ["2", "dry"]]
    assert all(0.9 < float(row.split()[2]) <= 1 for row in rows)


def test_json_from_standard_input_to_json(address: str) -> None:
    arguments = ["predict", MODEL, "-", "--address", address, "--output", "json"]
    result = invoke(*arguments, input_text=json.dumps([WET, DRY]))
    assert result.exit_code == 0, result.output
    answer = json.loads(result.output)
    assert (answer["model"], answer["version"]) == (MODEL, "2")
    assert [entry["prediction"] for entry in answer["predictions"]] == ["[wet]", "dry"]
    for entry in answer["predictions"]:
        assert set(entry["probabilities"]) == {"[wet]", "dry"}
        assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert entry["probability"] == max(entry["probabilities"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL, "short.csv"], "ROWS: expected a column 'width', came 'height'"),
        ([MODEL, "none.npy"], "ROWS: expected an existing file, came 'none.npy'"),
        ([MODEL, "rows.npy", "--version", "7"], "the prediction service refused the request: "),
        ([MODEL, "wide.json"], "inputs[features].shape: expected [-1, 2], where -1 is any length from 1, came [1, 3]"),
        (["nope", "rows.npy"], "the prediction service refused the request: "),
    ],
)
def test_wrong_requests_are_the_users(arguments: list[str], message: str, address: str, files: Path) -> None:
    caught = invoke("predict", *arguments, "--address", address).exception
    assert isinstance(caught, InputError)
    assert str(caught).startswith(message)


def test_a_wrong_csv_exits_2_with_one_line(address: str, files: Path) -> None:
    result = drivetrain("predict", MODEL, "short.csv", "--address", address, home=files)
    expected = "error: ROWS: expected a column 'width', came 'height'\n"
    assert (result.returncode, result.stdout, result.stderr) == (2, "", expected)
