"""What the benchmark of streaming takes from its command line."""

from pathlib import Path

import pytest

from tests.benchmarks.training.streaming import parse


def test_without_arguments_everything_is_measured() -> None:
    chosen = parse([])
    assert (chosen.workplace, chosen.result, chosen.gigabytes, chosen.job) == (Path("build/streaming"), None, 2.0, None)


def test_what_is_given_counts() -> None:
    chosen = parse(["--workplace", "here", "--result", "there.json", "--gigabytes", "0.1"])
    assert (chosen.workplace, chosen.result, chosen.gigabytes) == (Path("here"), Path("there.json"), 0.1)


@pytest.mark.parametrize(
    ("size", "message"), [("0", "expected 0.004 or more, came 0"), ("nan", "came nan"), ("much", "invalid size value")]
)
def test_a_size_that_is_none_is_refused(size: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_of:
        parse(["--gigabytes", size])
    assert exit_of.value.code == 2
    assert message in capsys.readouterr().err
