import math
import os
from pathlib import Path

import pytest

from services.prediction.cores import available_cores, intra_op_threads, quota


@pytest.mark.parametrize(
    ("text", "cores"),
    [("150000 100000\n", 1.5), ("max 100000\n", math.inf), ("", math.inf), ("what is this", math.inf)],
)
def test_the_quota_of_version_2(tmp_path: Path, text: str, cores: float) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(("granted", "cores"), [("50000", 0.5), ("-1", math.inf)])
def test_the_quota_of_version_1(tmp_path: Path, granted: str, cores: float) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(f"{granted}\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert quota(tmp_path) == cores


def test_without_a_quota_the_affinity_counts_and_with_one_the_lesser(tmp_path: Path) -> None:
    assert available_cores(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text("10000 100000")
    assert available_cores(tmp_path) == 1


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (3, 2), (4, 2), (6, 3), (8, 4), (64, 4)])
def test_threads_grow_with_the_cores_but_not_beyond_four(cores: int, threads: int) -> None:
    assert intra_op_threads(cores) == threads
