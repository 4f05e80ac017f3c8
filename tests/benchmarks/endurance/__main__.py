"""`python -m tests.benchmarks.endurance soak` or `overload`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from services.cli.tables import print_table
from tests.benchmarks.endurance import overload, soak
from tests.benchmarks.serving import load
from tests.benchmarks.verdicts import verdict_table

FOLDER = Path("build/benchmarks")
TRANSPORTS = ("native", "grpcio")
SECONDS = {"soak": 600, "overload": 60}
_EXAMPLES = """\
examples:
  python -m tests.benchmarks.endurance soak                                   ten minutes on each transport
  python -m tests.benchmarks.endurance soak --seconds 60 --transports native
  python -m tests.benchmarks.endurance overload                               about five minutes

exit status: 0 all targets hold, 1 one was missed, 2 wrong usage.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """What the user chose."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.endurance",
        description="Keep Drivetrain's prediction service busy for long, or ask for more than it can answer.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=tuple(SECONDS), help="which of the two")
    parser.add_argument("--seconds", type=int, help="length of the load (default: 600 for soak, 60 for overload)")
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=list(TRANSPORTS))
    return parser.parse_args(arguments)


def main() -> None:
    """Run what the command line asks for."""
    chosen, console = parse(sys.argv[1:]), Console()
    try:
        load.check_installed()
    except load.LoadError as error:
        sys.exit(f"error: {error}")
    seconds, workplace = chosen.seconds or SECONDS[chosen.what], FOLDER.absolute()
    workplace.mkdir(parents=True, exist_ok=True)

    def tell(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    if chosen.what == "soak":
        soaks = [soak.soak(transport, seconds, workplace, tell) for transport in chosen.transports]
        print_table(soak.table(soaks))
        verdicts = [verdict for each in soaks for verdict in each.verdicts]
    else:
        overloads = [overload.overload(transport, seconds, workplace, tell) for transport in chosen.transports]
        print_table(overload.table(overloads))
        verdicts = [verdict for each in overloads for verdict in each.verdicts]
    print_table(verdict_table(verdicts))
    sys.exit(0 if all(verdict.holds for verdict in verdicts) else 1)


if __name__ == "__main__":
    main()
