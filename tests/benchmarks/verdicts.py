"""Targets of a benchmark, each a figure of one run, and whether they were reached."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Verdict:
    """One target, and how far we came."""

    figure: str
    reached: float
    needed: float
    less_is_better: bool = False

    @property
    def holds(self) -> bool:
        """Whether the target was reached."""
        return self.reached <= self.needed if self.less_is_better else self.reached >= self.needed


def verdict_table(found: Sequence[Verdict]) -> Table:
    """A row a target."""
    result = Table(title="targets", box=None, pad_edge=False)
    result.add_column("figure")
    for header in ("reached", "needed"):
        result.add_column(header, justify="right")
    result.add_column("")
    for verdict in found:
        needed = f"{'≤' if verdict.less_is_better else '≥'} {verdict.needed:g}"
        result.add_row(verdict.figure, f"{verdict.reached:.2f}", needed, "holds" if verdict.holds else "MISSED")
    return result
