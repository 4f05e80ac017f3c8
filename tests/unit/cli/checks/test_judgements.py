from importlib.metadata import version
from pathlib import Path

import pytest

from services.cli.checks import machine
from services.cli.checks.services import judge_training
from services.cli.checks.tracking import version_mismatch
from services.training.pb import training_pb2 as pb

NOW = 1_800_000_000


def status(**changes: object) -> pb.ServiceStatus:
    fine = pb.ServiceStatus(version=version("drivetrain"), rights=["read", "submit"])
    fine.time.FromSeconds(NOW)
    fine.mlflow.MergeFrom(pb.Dependency(ok=True, detail="client 3.17.2"))
    fine.ray.MergeFrom(pb.Dependency(ok=True, detail="2.60.0"))
    for name, value in changes.items():
        fine.ClearField(name)  # type: ignore[arg-type] # the names are those of fields
        fine.MergeFrom(pb.ServiceStatus(**{name: value}))  # type: ignore[arg-type]
    return fine


def test_a_service_in_order_has_nothing_to_mend() -> None:
    found = judge_training(status(), "localhost:8003", NOW + 4.9)
    assert {each.state for each in found} == {"ok"}
    assert [each.name for each in found] == ["training service", "training service: MLflow", "training service: Ray"]


@pytest.mark.parametrize(
    ("changes", "now", "name", "detail"),
    [
        ({"version": "0.0.1"}, NOW, "training service", "0.0.1 at localhost:8003, drivetrain here is "),
        ({"rights": ["read"]}, NOW, "training service: rights", "may only read"),
        ({"ray": pb.Dependency(detail="away")}, NOW, "training service: Ray", "away"),
        ({"mlflow": pb.Dependency(detail="away")}, NOW, "training service: MLflow", "away"),
        ({}, NOW - 7, "training service: clock", "7 s ahead of this machine's"),
        ({}, NOW + 7, "training service: clock", "7 s behind this machine's"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(changes: dict[str, object], now: float, name: str, detail: str) -> None:
    (failed,) = (each for each in judge_training(status(**changes), "localhost:8003", now) if each.state == "failed")
    assert failed.name == name
    assert failed.detail.startswith(detail)
    assert failed.advice


@pytest.mark.parametrize("server", ["3.15.0", "3.17.2", "3.99.0"])
def test_servers_of_the_same_major_version_go_with_the_client(server: str) -> None:
    assert version_mismatch(server, "3.17.2") == ""


@pytest.mark.parametrize("server", ["2.22.0", "3.14.9", "4.0.0", "<html>"])
def test_other_servers_do_not(server: str) -> None:
    assert server in version_mismatch(server, "3.17.2")


def test_the_libraries_here_are_right() -> None:
    (found,) = machine.libraries()
    assert found.state == "ok"
    assert version("grpcio") in found.detail


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path / "a" / "b"))
    (found,) = machine.state_folder()
    assert found.state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_to_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path / "file" / "home"))
    (found,) = machine.state_folder()
    assert (found.state, found.detail) == ("failed", f"{tmp_path / 'file'} cannot be written to (Not a directory)")


def test_a_full_disk_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "MIN_FREE_BYTES", 2**70)
    (found,) = machine.state_folder()
    assert found.state == "failed"
    assert " has only " in found.detail
