import json
import logging
from collections.abc import Iterator

import pytest

from services.rpc import logs


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_json_lines_carry_the_ids_and_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIVETRAIN_LOG_FORMAT", "json")
    logs.configure()
    with logs.job_context("job-1"), logs.request_context("request-1"):
        logging.getLogger("test").info("said %s", "so")
    logging.getLogger("test").error("failed", exc_info=KeyError("lost"))
    said, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (said["message"], said["level"], said["logger"]) == ("said so", "INFO", "test")
    assert (said["job_id"], said["request_id"]) == ("job-1", "request-1")
    assert said["time"].endswith("+00:00")
    assert "request_id" not in failed
    assert "KeyError: 'lost'" in failed["exc_info"]


def test_people_get_plain_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("DRIVETRAIN_LOG_FORMAT", raising=False)
    logs.configure()
    logging.getLogger("test").info("said so")
    assert capsys.readouterr().err.endswith("INFO test: said so\n")


@pytest.mark.parametrize("form", ["", "json"])
def test_one_of_several_processes_says_which_it_is(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIVETRAIN_LOG_FORMAT", form)
    logs.configure("process 1")
    logging.getLogger("test").info("said so")
    line = capsys.readouterr().err
    if form:
        assert json.loads(line)["process_name"] == "process 1"
    else:
        assert line.endswith("INFO process 1 test: said so\n")
