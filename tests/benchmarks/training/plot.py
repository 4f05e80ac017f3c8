"""The same medians as a picture: a panel a work, a bar a contestant."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.training.figures import Cells

_COLOURS = mpl.colormaps["tab10"]


def draw(file: Path, cells: Cells, titles: Mapping[str, str]) -> None:
    """Write a PNG of milliseconds a step."""
    works = list(dict.fromkeys(key.work for key in cells))
    figure = Figure(figsize=(1 + 4.5 * len(works), 4), layout="constrained")
    panels = figure.subplots(1, len(works), squeeze=False)[0]
    for panel, work in zip(panels, works, strict=True):
        of_work = {key.contestant: cell for key, cell in cells.items() if key.work == work}
        names = [name for name in reversed(list(titles)) if name in of_work]
        colours = [_COLOURS(list(titles).index(name) % 10) for name in names]
        bars = panel.barh([titles[name] for name in names], [of_work[name].ms_a_step for name in names], color=colours)
        labels = [f"{of_work[name].ms_a_step:.2f} ms, {of_work[name].rows_per_second:,.0f}/s" for name in names]
        panel.bar_label(bars, labels, padding=3, fontsize=8)
        panel.margins(x=0.35)
        panel.set_title(work.upper())
        panel.set_xlabel("ms a step of 32 rows (less is better)")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)
