from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from services.prediction.command import serve

app = typer.Typer()
app.command()(serve)


def test_help_has_an_example_and_the_variables() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Example: drivetrain serve --port 8001" in result.output
    assert "DRIVETRAIN_PREDICTION_METRICS_PORT" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--threads", "-1"],
        ["--poll-interval", "soon"],
        ["--port", "9000", "--metrics-port", "9000"],
    ],
)
def test_wrong_options_exit_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_wrong_variables_exit_2() -> None:
    assert CliRunner().invoke(app, env={"DRIVETRAIN_PREDICTION_THREADS": "many"}).exit_code == 2


def test_a_wrong_tokens_file_is_one_clear_line_and_exit_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    result = CliRunner().invoke(
        app, ["--port", "0", "--metrics-port", "0", "--no-rest", "--tokens-file", str(tmp_path / "none")]
    )
    assert result.exit_code == 2
    assert "error: tokens_file: expected a readable text file" in result.output
