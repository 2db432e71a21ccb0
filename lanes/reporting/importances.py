"""The page's section of importance: how much of the metric's variance each axis and pair of axes explains."""

import math

from lanes.reporting.markup import Markup, figure, paragraph, table, together
from lanes.reporting.plotting import COLORS, QUIET, Figure, error_bars, layout, positions, safe, words
from lanes.results.importance import ANOVA, Importance, Share, importance
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard

SHOWN = 20  # shares in the figure and the table


def importances(board: Leaderboard) -> Markup:
    """The shares of axes and pairs as a figure and a table; empty with one axis and in one-at-a-time sweeps."""
    if not board.has_best or len(board.axes) < 2 or board.design is not None:
        return Markup("")
    found = importance(board)
    if not found.shares:
        return paragraph(f"No importance: {found.reason}.", "quiet")
    shown = found.shares[:SHOWN]
    cut = f"Showing the first {SHOWN} of {len(found.shares)}." if len(shown) < len(found.shares) else ""
    parts = [paragraph(_explained(board, found), "quiet"), paragraph(found.note, "note"), paragraph(cut, "note")]
    return together(*parts, figure(shares(found, shown)), _table(found, shown))


def _explained(board: Leaderboard, found: Importance) -> str:
    metric = words(board.metric)
    if found.method == ANOVA:
        return (
            f"Shares of the variance of {metric} over all combinations, by functional analysis of variance, which is exact "
            "because the grid is complete: of an axis alone, and of a pair beyond its two axes. Total is the share of an axis "
            "with all pairs and larger sets that it is in. In brackets or after ± the 95% interval over seeds (jackknife). By "
            "noise is the share that the spread between seeds alone would give. Sets of three axes or more: "
            f"{_percent(found.higher)}."
        )
    return (
        f"Shares of the variance of {metric} by permutation of a random forest, because the combinations are no complete grid: "
        "what exchanging an axis's values between combinations adds to the squared error of a forest that has not seen them, "
        "which is the axis's total share; of a pair, the share that both have a part in. Intervals are over seeds. The forest "
        f"explains {_percent(found.fit)} of the variance; what it does not explain is in no share."
    )


def shares(found: Importance, shown: tuple[Share, ...]) -> Figure:
    """Bars of the shares with their intervals; of axes in an analysis of variance the total too, in grey."""
    names = [" × ".join(each.axes) for each in shown]
    main = [each.share if math.isfinite(each.share.mean) else each.total for each in shown]
    bars: Figure = {"type": "bar", "orientation": "h", "y": list(range(len(names))), "x": [each.mean for each in main]}
    bars |= {"marker": {"color": COLORS[0]}, "width": 0.55, "error_x": error_bars(main)}
    texts = [f"{safe(name)}\n{_percent(each)}" for name, each in zip(names, main, strict=True)]
    bars["text"] = texts
    data = [bars]
    if found.method == ANOVA:
        total: Figure = {"type": "bar", "orientation": "h", "y": bars["y"], "x": [each.total.mean for each in shown]}
        total |= {"marker": {"color": QUIET, "opacity": 0.35}, "width": 0.8}
        total["text"] = [f"{safe(name)}\ntotal {each.total.mean:.1%}" for name, each in zip(names, shown, strict=True)]
        data = [total, bars]
    frame = layout(70 + 24 * len(names), "share of the variance", barmode="overlay")
    frame["yaxis"] |= positions(names) | {"range": [len(names) - 0.4, -0.6]}
    frame["xaxis"] |= {"tickformat": ".0%"}
    return {"data": data, "layout": frame}


def _table(found: Importance, shown: tuple[Share, ...]) -> Markup:
    exact = found.method == ANOVA
    head = ["axis or pair", *(["share", "total", "by noise"] if exact else ["share"]), "n (seeds)"]
    rows = []
    for each in shown:
        count = max(each.share.n, each.total.n)
        if exact:
            cells = [_percent(each.share), _percent(each.total), _percent(Interval(each.noise, math.nan, 1))]
        else:
            cells = [_percent(each.share if math.isfinite(each.share.mean) else each.total)]
        rows.append([" × ".join(each.axes), *cells, count])
    return table(head, rows, range(1, len(head)))


def _percent(found: Interval) -> str:
    """`12.3 ± 0.4%`; cut at 0 and 100 as any proportion."""
    if not math.isfinite(found.mean):
        return "–"
    if not found.is_known:
        return f"{100 * found.mean:.1f}%"
    if found.mean - found.half < 0 or found.mean + found.half > 1:
        return f"{100 * found.mean:.1f}% ({100 * found.low:.1f} to {100 * found.high:.1f})"
    return f"{100 * found.mean:.1f} ± {100 * found.half:.1f}%"
