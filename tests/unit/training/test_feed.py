import json
from pathlib import Path

import pytest

from services.training.feed import BLOCK_BYTES, Position, journal_size, last_epoch, read_block


def line(text: str) -> str:
    return json.dumps({"time": "2026-01-01T12:00:00.000+00:00", "kind": "stage", "text": text}) + "\n"


def texts(path: Path, offset: int = 0) -> list[str]:
    """All there is from an offset on, block after block."""
    found = []
    while block := read_block(path, offset):
        found += [str(entry.fields["text"]) for entry in block]
        offset = block[-1].end
    return found


def test_a_journal_is_read_from_any_line_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(line("one") + line("two"))
    [first, second] = read_block(path, 0)
    assert (first.fields["text"], second.end) == ("one", journal_size(path))
    assert texts(path, first.end) == ["two"]
    with path.open("a") as file:
        file.write(line("three"))
    assert texts(path, second.end) == ["three"]


def test_more_than_a_block_and_lines_longer_than_one(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    wanted = [str(number) for number in range(3000)] + ["x" * (2 * BLOCK_BYTES), "end"]
    path.write_text("".join(map(line, wanted)))
    assert texts(path) == wanted


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(line("one") + line("two")[:10])
    assert texts(path) == ["one"]


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text(line("one") + '{"time": "2026\n' + "[]\n" + line("two"))
    assert texts(path) == ["one", "two"]


def test_the_last_epoch_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    assert last_epoch(path) == 0
    epochs = [json.dumps({"time": "", "kind": "epoch", "epoch": number, "metrics": {}}) + "\n" for number in (1, 2, 7)]
    path.write_text(line("one") + "".join(epochs) + line("two"))
    assert last_epoch(path) == 7


def test_no_journal_yet(tmp_path: Path) -> None:
    assert journal_size(tmp_path / "none") == 0
    assert read_block(tmp_path / "none", 0) == ()


@pytest.mark.parametrize("position", [Position(), Position(2, 1234, "RUNNING2")])
def test_a_cursor_names_its_position(position: Position) -> None:
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize("cursor", ["x", "1.2", "0.0.", "1.-5.", "1.2.3.4", "a.b.c"])
def test_a_wrong_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Position.parse(cursor)
