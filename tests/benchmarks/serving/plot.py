"""The same medians as a picture: a column a model, throughput above, 99th percentile below."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.benchmarks.serving.figures import Cell, Cells, Key

_COLOURS = mpl.colormaps["tab10"]


def draw(file: Path, cells: Cells, titles: Mapping[str, str]) -> None:
    """Write a PNG with a bar a contestant, grouped by requests in flight. The axes are logarithmic."""
    models = list(dict.fromkeys(key.model for key in cells))
    figure = Figure(figsize=(1 + 4.5 * len(models), 7.5), layout="constrained")
    grid = figure.subplots(2, len(models), sharey="row", squeeze=False)
    for column, model in enumerate(models):
        of_model = {key: cell for key, cell in cells.items() if key.model == model}
        _bars(grid[0][column], of_model, titles, lambda cell: cell.requests_per_second)
        _bars(grid[1][column], of_model, titles, lambda cell: cell.p99_ms)
        grid[0][column].set_title(model.upper())
        grid[1][column].set_xlabel("requests in flight")
    grid[0][0].set_ylabel("requests a second (more is better)")
    grid[1][0].set_ylabel("p99 latency, ms (less is better)")
    handles = {label: bar for axes in grid[0] for bar, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(file, dpi=120)


def _bars(axes: Axes, cells: Cells, titles: Mapping[str, str], value: Callable[[Cell], float]) -> None:
    groups = sorted({key.in_flight for key in cells})
    contestants = [name for name in titles if any(key.contestant == name for key in cells)]
    width = 0.85 / len(contestants)
    for index, name in enumerate(contestants):
        places, heights = _heights(cells, groups, name, value)
        offset = (index - (len(contestants) - 1) / 2) * width
        colour = _COLOURS(list(titles).index(name) % 10)
        bars = axes.bar([place + offset for place in places], heights, width, label=titles[name], color=colour)
        axes.bar_label(bars, [_short(height) for height in heights], rotation=90, padding=2, fontsize=7)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.set_xticks(range(len(groups)), [str(group) for group in groups])
    axes.spines[["top", "right"]].set_visible(False)


def _heights(
    cells: Cells, groups: Sequence[int], contestant: str, value: Callable[[Cell], float]
) -> tuple[list[int], list[float]]:
    """Where the contestant's bars stand, and how high; a group that it has no figure for has no bar."""
    model = next(iter(cells)).model
    found = {place: cells.get(Key(model, group, contestant)) for place, group in enumerate(groups)}
    measured = {place: value(cell) for place, cell in found.items() if cell is not None}
    return list(measured), list(measured.values())


def _short(number: float) -> str:
    return f"{number / 1000:.3g} k" if number >= 1000 else f"{number:.3g}"
