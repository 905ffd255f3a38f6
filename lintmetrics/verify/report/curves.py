"""The numbers of a key over a training, drawn as one SVG that takes its colours from the page."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lintmetrics.verify.record import Point
from lintmetrics.verify.verdict import KeyVerdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 1200
_MOST_MARKS = 60
_LARGEST = 1e100  # matplotlib's ticks overflow not far above

# Drawn in colours that nothing else has, which are then replaced by those of the page.
_COLOURS = {
    "#010203": "var(--before)",
    "#010204": "var(--after)",
    "#010205": "var(--oracle)",
    "#010206": "var(--faint)",
    "#010207": "var(--line)",
    "#010208": "var(--bad)",
}
_BEFORE, _AFTER, _ORACLE, _FAINT, _LINE, _BAD = _COLOURS


def curve(row: KeyVerdict) -> str:
    """Return the curves of a key as an ``<svg>``, or nothing where there is no line to draw.

    Nothing that a user wrote is drawn: names stand in the page, where they are escaped.

    Args:
        row: the key.
    """
    spots = {(p.at.run, p.at.epoch, p.at.batches) for p in (*row.before, *row.after)}
    finite = [p for p in (*row.before, *row.after) if _is_drawn(p.value)]
    if len(spots) < 2 or not finite:
        return ""
    from matplotlib import rcParams, style
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    starts = _starts((*row.before, *row.after))
    with style.context("default"):
        # Text stays text: smaller, and it takes the letters of the page.
        rcParams["svg.fonttype"] = "none"
        rcParams["svg.hashsalt"] = "lintmetrics"
        rcParams["font.family"] = "sans-serif"
        rcParams["font.size"] = 9
        rcParams["axes.formatter.useoffset"] = False
        figure = Figure(figsize=(5.2, 2.3), layout="constrained")
        axes = figure.add_subplot()
        # The widest lines lie lowest, so that lines which coincide are all seen.
        if row.oracle:
            _draw(axes, row.oracle, starts, _ORACLE, 8.0, 0.45)
        _draw(axes, row.before, starts, _BEFORE, 4.2, 0.9)
        _draw(axes, row.after, starts, _AFTER, 1.4, 1.0)
        if row.parted is not None and _is_drawn(row.parted.value):
            x = starts[row.parted.at.run] + row.parted.at.batches
            axes.plot([x], [row.parted.value], "o", ms=11, mfc="none", mec=_BAD, mew=1.6)
        axes.set_xlabel("training batches finished", color=_FAINT)
        axes.tick_params(colors=_FAINT, width=0.6, length=3)
        axes.grid(True, color=_LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(_LINE)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        file = io.StringIO()
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _themed(file.getvalue())


def _is_drawn(value: float) -> bool:
    return abs(value) < _LARGEST


def _draw(
    axes: Axes,
    points: Sequence[Point],
    starts: dict[int, int],
    colour: str,
    width: float,
    alpha: float,
) -> None:
    for run, of_run in itertools.groupby(points, key=lambda point: point.at.run):
        line = _thinned([(starts[run] + p.at.batches, p.value) for p in of_run])
        marker = "o" if len(line) <= _MOST_MARKS else ""
        axes.plot(
            [x for x, _ in line],
            [y if _is_drawn(y) else math.nan for _, y in line],
            color=colour,
            linewidth=width,
            alpha=alpha,
            marker=marker,
            markersize=width + 2.6,
            markeredgewidth=0,
            solid_capstyle="round",
        )


def _starts(points: Sequence[Point]) -> dict[int, int]:
    """Return where each run begins: runs follow one another."""
    lengths: dict[int, int] = {}
    for point in points:
        lengths[point.at.run] = max(lengths.get(point.at.run, 0), point.at.batches)
    starts, total = {}, 0
    for run in range(max(lengths) + 1):
        starts[run] = total
        total += lengths.get(run, 0)
    return starts


def _thinned(line: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the lowest and the highest point of each stretch of a line that has too many."""
    if len(line) <= _MOST_POINTS:
        return line
    stretch = math.ceil(2 * len(line) / _MOST_POINTS)
    kept = []
    for start in range(0, len(line), stretch):
        part = range(start, min(start + stretch, len(line)))
        # NaN compares with nothing: it is kept by its place only.
        low = min(part, key=lambda index: line[index][1])
        high = max(part, key=lambda index: line[index][1])
        kept += [line[index] for index in sorted({low, high})]
    return kept


def _themed(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, variable)
    # One page holds many pictures: names of parts of one must not mean parts of another.
    svg = re.sub(r' id="(?:figure|patch|axes|matplotlib|xtick|ytick|line2d|text)[^"]*"', "", svg)
    return re.sub(r"^<svg ", '<svg role="img" ', svg).strip()
