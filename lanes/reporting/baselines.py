"""The page's section of paired differences from a baseline, chosen with --baseline or the base of a one-at-a-time sweep."""

import dataclasses

import pandas as pd

from lanes.reporting import figures
from lanes.reporting.markup import Markup, figure, paragraph, table, together
from lanes.reporting.plotting import words
from lanes.results.baseline import AgainstBaseline, against_baseline
from lanes.results.intervals import Interval, decimals
from lanes.results.leaderboard import Leaderboard
from lanes.results.naming import Names, change, named

SHOWN = 40  # combinations in the figure and the table: the lowest and the highest differences


def baseline_section(board: Leaderboard, row: int | None) -> Markup:
    """Each combination against the baseline; without one against the base of a one-at-a-time sweep, otherwise empty."""
    if row is None:
        row = board.design.base if board.design is not None else None
    if row is None or not board.has_best or len(board.table) < 2:
        return Markup("")
    found = against_baseline(board, row, board.metric)
    names = named(board)
    own = board.cell(row, board.metric)
    head = paragraph(f"{_name(board, row, names)}: {words(board.metric)} {own}, rank {row + 1}.")
    if not found.differences:
        return head + paragraph(
            "It has no finished run at a seed of another combination, so nothing is compared.", "warn"
        )
    shown = _shown(found, board.lower)
    texts = [names[int(other)] for other in shown["row"]]
    count = len(found.differences)
    cut = f"Showing {len(shown)} of {count}: the best and the worst." if len(shown) < count else ""
    note = (
        f"Difference of each combination from it in {words(board.metric)}, paired by seed, sorted, the best first. "
        f"The intervals hold for all {count} differences together with 95% (Dunnett's many-to-one comparisons), so a baseline "
        "must be chosen before looking."
    )
    spec = shown.rename(columns={"difference": board.metric, "half": f"{board.metric} half", "n": f"{board.metric} n"})
    return together(
        head,
        paragraph(note, "quiet"),
        paragraph(cut, "note"),
        figure(figures.differences(spec, board.metric, texts)),
        _table(board, found, shown, texts, row),
    )


def _name(board: Leaderboard, row: int, names: Names) -> str:
    if board.design is None:
        return f"The baseline is {names[row]}"
    if row != board.design.base:
        return f"The baseline is {change(board, board.design, row)}"
    at = board.table.iloc[row]
    shown = [f"{axis.name} {at[axis.name]}" for axis in board.axes if at[axis.name] not in ("", "–")]
    return (
        f"Each combination differs from the base in one field. The base has {', '.join(shown) or 'no value of these'}"
    )


def _shown(found: AgainstBaseline, lower: bool) -> pd.DataFrame:
    frame = found.table()
    frame = frame if lower else frame.iloc[::-1]
    if len(frame) > SHOWN:
        frame = pd.concat([frame.head(SHOWN // 2), frame.tail(SHOWN // 2)])
    return frame.reset_index(drop=True)


def _table(board: Leaderboard, found: AgainstBaseline, shown: pd.DataFrame, texts: list[str], row: int) -> Markup:
    test = against_baseline(board, row, board.test) if board.test and board.test != board.metric else None
    metrics = [found, *([test] if test else [])]
    digits = [_digits(each) for each in metrics]
    rows = []
    for text, other in zip(texts, shown["row"]):
        cells = [_signed(each.differences.get(int(other)), at) for each, at in zip(metrics, digits, strict=True)]
        rows.append(
            [
                text,
                board.cell(int(other), board.metric),
                *cells,
                found.differences[int(other)].n,
                _verdict(board, found, int(other)),
            ]
        )
    what = "change" if board.design is not None else "combination"
    head = [what, board.metric, *(f"difference in {each.metric}" for each in metrics), "n (seeds)", "told apart"]
    return table(head, rows, range(1, len(head) - 1), "wide")


def _digits(found: AgainstBaseline) -> int:
    intervals = list(found.differences.values())
    return decimals([each.half for each in intervals], [each.mean for each in intervals])


def _signed(found: Interval | None, digits: int) -> str:
    if found is None:
        return "–"
    if round(found.mean, digits) == 0:
        found = dataclasses.replace(found, mean=0.0)
    text = found.text(digits)
    return f"+{text}" if found.mean > 0 else text


def _verdict(board: Leaderboard, found: AgainstBaseline, row: int) -> str:
    if row not in found.told_apart:
        return "no" if found.differences[row].n > 1 else "one seed"
    return "better" if (found.differences[row].mean < 0) == board.lower else "worse"
