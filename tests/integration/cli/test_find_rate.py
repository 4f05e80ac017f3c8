"""`train --find-lr` as a process of its own."""

from pathlib import Path

import pytest

from tests.integration.cli.commands import drivetrain


def test_it_suggests_a_rate_and_leaves_a_picture_alone(tmp_path: Path) -> None:
    result = drivetrain("train", "digits-mlp", "--find-lr", home=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    first, command, plot = result.stdout.splitlines()
    assert first.startswith("suggested learning rate: 0.0")
    assert command.startswith("  try it: drivetrain train digits-mlp --set optimizer.learning_rate=0.0")
    assert plot == f"  plot: {tmp_path / 'learning-rates/digits-mlp.png'}"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["digits-mlp.png"]


@pytest.mark.parametrize("options", [("--remote", "localhost:1"), ("--detach",), ("--key", "k")])
def test_it_does_not_go_with_a_training_service(options: tuple[str, ...], tmp_path: Path) -> None:
    result = drivetrain("train", "digits-mlp", "--find-lr", *options, home=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: --find-lr: expected without --remote, --key and --detach")
