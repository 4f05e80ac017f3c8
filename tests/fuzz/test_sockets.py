"""The short form of `make fuzz`: see `siege`."""

from pathlib import Path

import pytest

from tests.fuzz.server import make_store
from tests.fuzz.siege import besiege


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_a_server_takes_no_harm_from_what_comes_in_at_its_port(tmp_path: Path, transport: str) -> None:
    besiege(make_store(tmp_path), tmp_path, transport, seed=4, seconds=5, connections=200).check()
