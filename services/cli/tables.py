"""Tables on standard output: fitted to a terminal, and at full width where a file or a program reads them."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_table(table: Table) -> None:
    """Print a table; nothing of it is cut short unless a terminal is too narrow."""
    console = Console(markup=False)  # labels and paths may hold brackets
    if not console.is_terminal:
        console.width = max(
            console.width, Measurement.get(console, console.options.update(width=10_000), table).maximum
        )
    console.print(table)
