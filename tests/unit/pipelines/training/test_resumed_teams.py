"""A team that is lost at any moment goes on with every worker's own random numbers and sums."""

import json
from pathlib import Path

from tests.unit.pipelines.training.meeting import meet
from tests.unit.pipelines.training.resuming_member import LOST_AT


def test_a_resumed_team_ends_with_the_same_bits(tmp_path: Path) -> None:
    meet("resuming_member", 2, str(tmp_path))
    for rank in range(2):
        came = json.loads((tmp_path / f"{rank}.json").read_text())
        assert list(came) == ["undisturbed", *map(str, LOST_AT)]
        for moment, disturbed in came.items():
            assert disturbed == came["undisturbed"], (rank, moment)
