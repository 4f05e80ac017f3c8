from pathlib import Path

import pytest

from pipelines.spec_file import build_spec
from services.cli.errors import InputError
from services.cli.follow import hint
from services.cli.remote_train import local_data
from services.training.pb import training_pb2 as pb

UPLOADED = f"sha256:{'0' * 64}"


def data_of(path: str) -> Path | None:
    return local_data(build_spec({"data": {"source": "csv", "path": path}}))


def test_a_file_here_is_the_one_to_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").touch()
    assert data_of("rows.csv") == Path("rows.csv")
    assert data_of(str(tmp_path / "rows.csv")) == tmp_path / "rows.csv"


def test_what_is_not_here_is_the_services_to_judge(tmp_path: Path) -> None:
    assert data_of(UPLOADED) is None
    assert data_of("s3://bucket/rows/*.csv") is None
    assert data_of("drivetrain:penguins.csv") is None
    assert data_of(str(tmp_path / "on-the-cluster.csv")) is None
    assert local_data(build_spec({})) is None
    assert local_data(build_spec({"data": {"source": "synthetic"}})) is None


def test_a_relative_path_that_is_not_here_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = "a file here, an absolute path on the cluster, or sha256:HEX of uploaded content"
    with pytest.raises(InputError) as caught:
        data_of("none.csv")
    assert str(caught.value) == f"data.path: expected {expected}, came 'none.csv'"


@pytest.mark.parametrize(
    ("variable", "address", "option"),
    [
        ("", "localhost:8003", ""),
        ("", "far:8003", " --address far:8003"),
        ("far:8003", "far:8003", ""),
        ("far:8003", "localhost:8003", " --address localhost:8003"),
    ],
)
def test_the_hint_leads_back_to_the_same_service(
    variable: str, address: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVETRAIN_TRAINING_ADDRESS", variable)
    told = hint(pb.Job(id="0123456789abcdef" * 2), address)
    expected = f"watch it: drivetrain watch 01234567{option}; end it: drivetrain cancel 01234567{option}"
    assert told == expected
