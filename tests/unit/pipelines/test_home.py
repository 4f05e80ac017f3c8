from pathlib import Path

import pytest

from pipelines.home import artifact_location, home, tracking_uri


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DRIVETRAIN_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def test_state_lives_in_the_working_directory_by_default(tmp_path: Path) -> None:
    assert home() == tmp_path / ".drivetrain"
    assert tracking_uri() == f"sqlite:///{tmp_path}/.drivetrain/mlflow.db"
    assert artifact_location("digits") == (tmp_path / ".drivetrain/artifacts/digits").as_uri()


@pytest.mark.parametrize("folder", ["state", "/somewhere/else"])
def test_drivetrain_home_moves_the_state(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", folder)
    assert home() == tmp_path / folder
    assert tracking_uri() == f"sqlite:///{tmp_path / folder}/mlflow.db"


def test_a_tracking_server_keeps_its_own_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert tracking_uri() == "http://mlflow:5000"
    assert artifact_location("digits") is None
    assert home() == tmp_path / ".drivetrain"


def test_empty_variables_count_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Compose files pass unset variables on as empty ones.
    monkeypatch.setenv("DRIVETRAIN_HOME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert home() == tmp_path / ".drivetrain"
    assert tracking_uri().startswith("sqlite:///")


def test_asking_makes_no_folder(tmp_path: Path) -> None:
    tracking_uri()
    assert list(tmp_path.iterdir()) == []
