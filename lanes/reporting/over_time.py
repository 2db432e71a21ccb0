"""The page of one experiment at different versions: how its results moved, between which versions, and what changed there."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.reporting import embedded, pages
from lanes.reporting.comparison import Comparison, compare
from lanes.reporting.markup import Markup, document, escape, figure, paragraph, section, table, together
from lanes.reporting.plotting import (
    COLORS,
    QUIET,
    Figure,
    error_bars,
    layout,
    points,
    positions,
    safe,
    words,
)
from lanes.reporting.printed_comparison import signed, verdict
from lanes.reporting.provenance import provenance_of, provenance_section
from lanes.results.comparisons import paired_difference
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard, Ranking, ranking
from lanes.results.over_time import Trend, Version, changes, in_order, trends

SHOWN = 6  # combinations in the figure
ROWS = 200  # combinations in the table


def write_over_time(directories: list[Path], metric: str | None = None, out: Path | None = None) -> Path:
    """Write the page, and return its path.

    Args:
        directories: of one experiment, one for each version, in any order.
        metric: ranks the combinations; by default as in `groups.comparable_groups`.
        out: the file; None is `over_time.html` in the first directory.

    Raises RequestError for fewer than two directories, and as `pages.write_report`.
    """
    paths = pages.names_of(directories)
    versions = in_order(paths)
    ordered = {version.name: paths[version.name] for version in versions}
    runs, curves = pages.read(list(ordered.values()))
    text = page(runs, curves, versions, ordered, metric)
    return pages.written(text, out or directories[0] / "over_time.html")


def page(
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    versions: Sequence[Version],
    paths: Mapping[str, Path],
    metric: str | None = None,
) -> str:
    """The page as text; `runs` and `curves` have their directories in the order of the versions."""
    found = ranking(runs, metric)
    runs, boards = found.runs, found.boards
    notes = [paragraph(text, "warn") for text in (*cautions(found, versions), found.left_out) if text]
    provenance = {name: provenance_of(path) for name, path in paths.items()}
    parts = [
        ("versions", "Versions", together(*notes, _versions(versions, runs))),
        ("trend", "Trend", _each(boards, functools.partial(_trend, versions=versions))),
        ("changes", "What changed", _each(boards, functools.partial(_changes, versions=versions))),
        ("provenance", "Provenance", provenance_section(runs, provenance)),
    ]
    kept = [(f"section-{anchor}", title, inside) for anchor, title, inside in parts if inside]
    title = f"{versions[0].name} to {versions[-1].name}: over time"
    top = pages.header(title, boards, provenance)
    data = embedded.embedded(boards, curves, {name: str(path) for name, path in paths.items()})
    return document(title, top, [part[:2] for part in kept], [section(*part) for part in kept], data)


def cautions(found: Ranking, versions: Sequence[Version]) -> list[str]:
    """Why some versions cannot be paired, or what their numbers mix."""
    out = [found.apart] if found.apart else []
    for board in found.boards:
        having = set(board.runs["dir"])
        missing = [version.name for version in versions if version.name not in having]
        if missing and len(having) > 1:
            of = f" with {board.name}" if board.name else ""
            out.append(f"{' and '.join(missing)} cannot be paired with the runs{of}: the metric does not compare them.")
    out += [f"{each.name} was not trained by one version: {each.mixed}." for each in versions if each.mixed]
    return out


def _each(boards: Sequence[Leaderboard], make: Any) -> Markup:
    """A section of each board that has two versions, under its name if there are several."""
    parts = []
    for board in boards:
        if board.runs["dir"].nunique() > 1:
            name = Markup(f"<h3>{escape(board.name)}</h3>") if board.name else Markup("")
            parts.append(name + make(board))
    return together(*parts)


def _versions(versions: Sequence[Version], runs: pd.DataFrame) -> Markup:
    head = [
        "directory",
        "begun (UTC)",
        "git revision",
        "code",
        "jax",
        "flax",
        "optax",
        "numpy",
        "device",
        "runs",
        "ended",
    ]
    rows = []
    for each in versions:
        own = runs[runs["dir"] == each.name]
        facts = [str(each.conditions.get(name, "–")) for name in ("code", "jax", "flax", "optax", "numpy", "device")]
        rows.append(
            [each.name, each.begun[:19].replace("T", " "), each.revision, *facts, len(own), own["status"].count()]
        )
    note = "In the order in which they were begun. A revision with + had changes; equal code is equal whatever the revision."
    return table(head, rows, [9, 10], "wide") + paragraph(note, "note")


# ---- the trend -----------------------------------------------------------------------------------------------------


def _own(board: Leaderboard, versions: Sequence[Version]) -> list[str]:
    having = set(board.runs["dir"])
    return [version.name for version in versions if version.name in having]


def _trend(board: Leaderboard, versions: Sequence[Version]) -> Markup:
    names = _own(board, versions)
    best, found = trends(board, names)
    note = (
        f"{words(board.metric).capitalize()} by version, mean over seeds ± 95% interval. The best of each version was selected "
        "in it, which flatters it; a combination is the same in all."
    )
    cut = f"Showing the {SHOWN} best of {len(found)} combinations." if len(found) > SHOWN else ""
    head = ["combination", *names, f"{names[-1]} − {names[0]}", "n (seeds)"]
    rows = [_cells(board, each, names) for each in [best, *found[:ROWS]]]
    more = paragraph(f"Showing {ROWS} of {len(found)} combinations.", "note") if len(found) > ROWS else Markup("")
    lines = table(head, rows, range(1, len(head)), "wide")
    paired = paragraph(
        "Differences are paired by seed; those of the best compare what was selected in each version.", "note"
    )
    return together(
        paragraph(note, "quiet"), figure(trend_figure(board, names, best, found[:SHOWN]), cut), lines, more, paired
    )


def trend_figure(board: Leaderboard, names: Sequence[str], best: Trend, found: Sequence[Trend]) -> Figure:
    """The best of each version and combinations by version, with their intervals, beside each other."""
    data = []
    for at, each in enumerate([best, *found]):
        own = [name for name in names if name in each.rows]
        shift = 0.08 * (at - len(found) / 2)
        intervals = [board.interval(each.rows[name], board.metric) for name in own]
        texts = [f"{safe(each.name)}\n{safe(n)}: {i.text(4)} (n = {i.n})" for n, i in zip(own, intervals, strict=True)]
        color = COLORS[at % len(COLORS)] if at else QUIET
        x = [names.index(name) + shift for name in own]
        trace = points(x, [interval.mean for interval in intervals], texts, color=color)
        line = {"mode": "lines+markers", "line": {"color": color, "width": 1.5 if at else 2.5}}
        data.append(trace | line | {"error_y": error_bars(intervals), "name": safe(each.name)})
    frame = layout(360, "version", words(board.metric), showlegend=True)
    frame["xaxis"] |= positions(names)
    return {"data": data, "layout": frame}


def _cells(board: Leaderboard, trend: Trend, names: Sequence[str]) -> list[Any]:
    """A row of the table: the values by version, and the paired difference of the last from the first."""
    values = [board.cell(trend.rows[name], board.metric) if name in trend.rows else "–" for name in names]
    if names[0] not in trend.rows or names[-1] not in trend.rows:
        return [trend.name, *values, "–", ""]
    found = difference(board, trend.rows[names[0]], trend.rows[names[-1]])
    return [trend.name, *values, signed(found) if found.n else "–", found.n or ""]


def difference(board: Leaderboard, first: int, second: int) -> Interval:
    """Second - first of two rows of a board's table, paired by seed."""
    by_seed = board.combinations_of(board.values)
    return paired_difference(by_seed.loc[first], by_seed.loc[second])


# ---- neighbours ----------------------------------------------------------------------------------------------------


def neighbours(board: Leaderboard, versions: Sequence[Version]) -> list[tuple[Version, Version, Comparison]]:
    """Each version of a board with the one before it."""
    named = {version.name: version for version in versions}
    names = _own(board, versions)
    out = []
    for first, second in itertools.pairwise(names):
        runs = board.runs[board.runs["dir"].isin([first, second])].drop(columns="combination")
        out += [(named[first], named[second], each) for each in compare(runs, board.metric, board.evaluations)]
    return out


def _changes(board: Leaderboard, versions: Sequence[Version]) -> Markup:
    parts = []
    for first, second, found in neighbours(board, versions):
        differ = [[name, before, after] for name, (before, after) in changes(first, second).items()]
        same = "Code, libraries, device and settings are the same." if not differ else ""
        parts += [
            pages.comparison(found, board),
            paragraph(f"Over all pairs: {verdict(board, found)}."),
            paragraph(same, "quiet"),
            table(["what differs", first.name, second.name], differ, (), "wrap") if differ else Markup(""),
        ]
    return together(*parts)


# ---- in words and as JSON ------------------------------------------------------------------------------------------


def lines(runs: pd.DataFrame, versions: Sequence[Version], metric: str | None = None) -> list[str]:
    """The versions, what changed between neighbours, and the paired differences, for the terminal."""
    out = [f"{each.name}: begun {each.begun[:19]}, revision {each.revision}" for each in versions]
    ranked = ranking(runs, metric)
    for board in ranked.boards:
        if board.runs["dir"].nunique() < 2:
            continue
        for first, second, found in neighbours(board, versions):
            overall = found.overall[board.metric]
            named = f" ({board.name})" if board.name else ""
            out.append(
                f"{second.name} − {first.name}{named}, {board.metric}, all {found.pairs[board.metric]:,} pairs: "
                f"{signed(overall)} (n = {overall.n} seeds); {verdict(board, found)}"
            )
            differ = [*found.constants, *((name, *pair) for name, pair in changes(first, second).items())]
            said = ", ".join(f"{name} {before} → {after}" for name, before, after in differ)
            out.append(f"  changed: {said or 'nothing that numbers depend on'}")
    return [*out, *(f"warning: {text}" for text in cautions(ranked, versions))]


def over_time_document(runs: pd.DataFrame, versions: Sequence[Version], metric: str | None = None) -> dict[str, Any]:
    """The versions, and for each ranking its trends and the differences of neighbours, as plain values."""
    ranked, found = ranking(runs, metric), []
    for board in (each for each in ranked.boards if each.runs["dir"].nunique() > 1):
        best, combinations = trends(board, _own(board, versions))
        found.append(
            {
                "name": board.name,
                "metric": board.metric,
                "higher_is_better": not board.lower,
                "best": _values(board, best),
                "combinations": [{"name": each.name, "values": _values(board, each)} for each in combinations],
                "neighbours": [_neighbour(board, *each) for each in neighbours(board, versions)],
            }
        )
    stated = [
        {"name": each.name, "begun": each.begun, "git_revision": each.revision, "conditions": dict(each.conditions)}
        for each in versions
    ]
    return {"versions": stated, "trends": found, "warnings": cautions(ranked, versions)}


def _values(board: Leaderboard, trend: Trend) -> dict[str, Any]:
    found = {name: board.interval(row, board.metric) for name, row in trend.rows.items()}
    return {name: {"mean": each.mean, "half_width": each.half, "n": each.n} for name, each in found.items()}


def _neighbour(board: Leaderboard, first: Version, second: Version, found: Comparison) -> dict[str, Any]:
    overall = found.overall[board.metric]
    return {
        "first": first.name,
        "second": second.name,
        "difference": {"mean": overall.mean, "half_width": overall.half, "n": overall.n},
        "pairs": found.pairs[board.metric],
        "verdict": verdict(board, found),
        "changed": {name: list(pair) for name, pair in changes(first, second).items()},
        "differing": {name: [before, after] for name, before, after in found.constants},
    }
