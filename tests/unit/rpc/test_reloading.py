import os
import threading
from pathlib import Path

import pytest

from services.rpc.errors import InvalidSettingsError
from services.rpc.reloading import Reloading


class Reader:
    """Reads a number from a file, and counts how often."""

    def __init__(self, path: Path) -> None:
        self.path, self.num_reads = path, 0

    def __call__(self) -> int:
        self.num_reads += 1
        try:
            return int(self.path.read_text())
        except (OSError, ValueError) as error:
            raise InvalidSettingsError("number", "a number", str(error)) from error


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    path = tmp_path / "number"
    path.write_text("1")
    return Reader(path)


def test_what_is_wrong_at_first_is_the_callers_to_hear_of(reader: Reader) -> None:
    reader.path.write_text("one")
    with pytest.raises(InvalidSettingsError):
        Reloading([reader.path], reader)


def test_files_that_stay_are_read_once(reader: Reader) -> None:
    value = Reloading([reader.path], reader, look_interval_s=0)
    assert [value.current() for _ in range(5)] == [1] * 5
    assert reader.num_reads == 1


@pytest.mark.parametrize("how", ["written to", "replaced", "touched"])
def test_a_change_of_any_kind_is_seen(reader: Reader, how: str) -> None:
    value = Reloading([reader.path], reader, look_interval_s=0)
    if how == "written to":
        reader.path.write_text("22")
    elif how == "replaced":
        aside = reader.path.with_name("aside")
        aside.write_text("2")
        os.utime(aside, ns=(0, reader.path.stat().st_mtime_ns))
        aside.replace(reader.path)
    else:
        os.utime(reader.path, (0, 0))
    value.current()
    assert reader.num_reads == 2
    assert value.current() == int(reader.path.read_text())


def test_between_two_looks_nobody_looks(reader: Reader) -> None:
    value = Reloading([reader.path], reader, look_interval_s=3600)
    reader.path.write_text("22")
    assert value.current() == 1


def test_a_broken_file_changes_nothing_and_is_read_once(reader: Reader, caplog: pytest.LogCaptureFixture) -> None:
    value = Reloading([reader.path], reader, look_interval_s=0)
    reader.path.write_text("none")
    assert [value.current() for _ in range(5)] == [1] * 5
    assert reader.num_reads == 2
    assert caplog.text.count("what was read before stays in use: number: expected a number") == 1
    reader.path.write_text("3")
    assert value.current() == 3


def test_who_asks_while_another_looks_gets_what_there_is(reader: Reader) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def read_slowly() -> int:
        if reader.num_reads:
            looking.set()
            assert go_on.wait(10)
        return reader()

    value = Reloading([reader.path], read_slowly, look_interval_s=0)
    reader.path.write_text("22")
    other = threading.Thread(target=value.current)
    other.start()
    assert looking.wait(10)
    assert value.current() == 1
    go_on.set()
    other.join(10)
    assert value.current() == 22
