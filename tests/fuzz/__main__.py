"""`make fuzz`: the decoder, then both transports, for some minutes; figures, and an exit code that tells."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tests.fuzz import decoder
from tests.fuzz.server import make_store
from tests.fuzz.siege import besiege


def fuzz(
    seconds: Annotated[float, typer.Option(min=1, help="Of each of the three parts.")] = 60,
    seed: Annotated[
        int | None, typer.Option(help="Repeats a run of the decoder; by default another each time.")
    ] = None,
    connections: Annotated[int, typer.Option(help="Slow connections at a time.")] = 2000,
) -> None:
    """Attack the prediction service."""
    seed = random.randrange(2**32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    print(decoder.attack(seed, seconds), flush=True)
    with TemporaryDirectory() as directory:
        store = make_store(Path(directory))
        sieges = []
        for transport in ("native", "grpcio"):
            place = Path(directory) / transport
            place.mkdir()
            sieges.append(besiege(store, place, transport, seed, seconds=seconds, connections=connections))
            print(sieges[-1], flush=True)
    for siege in sieges:
        siege.check()
    print("no harm done")


if __name__ == "__main__":
    typer.run(fuzz)
