"""A leaderboard, or a pivot of two of its axes, as a table for a paper: what it says, whatever the format."""

import dataclasses
import re

import numpy as np
import pandas as pd

from lanes.errors import RequestError, unknown
from lanes.results.axes import Axis, coarse, coarse_values
from lanes.results.leaderboard import LOST, STATUSES, Leaderboard, Ranking, compared_with_best
from lanes.results.naming import change
from lanes.results.pivots import grid_of
from lanes.results.statistics import metric_words

NOT_RUN = "–"
CUT, EQUAL = re.compile(r"\(\S+ to \S+\)"), re.compile(r"\(\d+ equal\)")
COUNTS = ("rank", *STATUSES)


@dataclasses.dataclass(frozen=True)
class Cell:
    """Text in a table; bold for the best and what cannot be told apart from it."""

    text: str
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table.

    Attributes:
        title: a few words, from which labels are made.
        caption: sentences.
        header: the columns' names.
        rows: their cells.
        numeric: which columns hold numbers.
        over: the name of the axis whose values are all columns but the first; empty for a leaderboard.
        data: the same as numbers, a row per combination shown, for other programs.
    """

    title: str
    caption: list[str]
    header: list[str]
    rows: list[list[Cell]]
    numeric: frozenset[int]
    over: str
    data: pd.DataFrame


def tables(ranked: Ranking, pivot: tuple[str, str] | None = None, top: int | None = None) -> list[PaperTable]:
    """The leaderboards of ranked runs, or pivots of them; several where the metric does not compare all runs.

    Args:
        ranked: the runs of `lanes.load`'s table, with a column `dir` for several directories.
        pivot: rows and columns, two axes that the sweep varies; None for leaderboards.
        top: the most rows of a leaderboard; None for all.

    Raises RequestError for what is no axis of any leaderboard.
    """
    boards = ranked.boards
    if pivot is None:
        return [leaderboard_table(board, top) for board in boards]
    having = [board for board in boards if set(pivot) <= {axis.name for axis in board.axes}]
    if not having and len(boards) > 1:
        listed = "; ".join(f"{board.name}: {_listed(board) or 'none'}" for board in boards[:3])
        raise RequestError(f"--pivot got {' '.join(pivot)}: no ranking has both axes ({listed}). {ranked.apart}")
    return [pivot_table(board, *pivot) for board in having or boards]


# ---- the leaderboard ---------------------------------------------------------------------------------------------


def leaderboard_table(board: Leaderboard, top: int | None = None) -> PaperTable:
    """The best combinations with the ranking metric, and the same metric on the test split.

    Args:
        board: the leaderboard; without a best the table says why nothing has a value.
        top: the most rows; None for all.
    """
    count = len(board.table) if top is None else min(top, len(board.table))
    bold = bold_rows(board)
    counts = [int(board.table[f"{board.metric} n"].iloc[row]) for row in range(count)]
    unequal = len(set(counts)) > 1
    lost = [_lost(board, row) for row in range(count)]
    names = [axis.name for axis in board.axes] if board.design is None else ["change"]
    header = ["rank", *map(field_words, names), *map(metric_words, board.evaluations)]
    header += ["n"] * unequal + ["lost runs"] * any(lost)
    rows = []
    for row in range(count):
        cells = [Cell(str(row + 1)), *map(Cell, _settings(board, row))]
        cells += [Cell(_value(board, row, name), name == board.metric and row in bold) for name in board.evaluations]
        cells += [Cell(str(counts[row]))] * unequal + [Cell(lost[row])] * any(lost)
        rows.append(cells)
    first = 1 + len(names)
    numbers = {0, *range(first, first + len(board.evaluations) + unequal)}
    numbers |= {1 + at for at, axis in enumerate(board.axes) if axis.numbers and board.design is None}
    total = len(board.table)
    which = f"The {f'{count} ' if count > 1 else ''}best of {total} combinations." if count < total else ""
    hidden = sum(row >= count for row in bold)
    more = f"{hidden} more of them {'are' if hidden > 1 else 'is'} not shown." if hidden else ""
    return PaperTable(
        title=_title(board, "leaderboard"),
        caption=[
            *_means(board, counts, board.evaluations, rows),
            *filter(None, [which, _bold_words(board), more]),
            *_notes(board),
        ],
        header=header,
        rows=rows,
        numeric=frozenset(numbers),
        over="",
        data=_frame([_numbers(board, row, row in bold) for row in range(count)]),
    )


def _settings(board: Leaderboard, row: int) -> list[str]:
    """The labels of a combination's axes; of a one-at-a-time sweep its one change."""
    if board.design is not None:
        return [field_words(change(board, board.design, row))]
    return [_label(board.table.iloc[row][axis.name]) for axis in board.axes]


def bold_rows(board: Leaderboard) -> frozenset[int]:
    """The rows of a board's table that are best or cannot be told apart from it; what is not compared is not among them."""
    if not board.has_best:
        return frozenset()
    if len(board.table) < 2:
        return frozenset({0})
    found = compared_with_best(board)
    return frozenset({0, *(int(at) + 1 for at in np.flatnonzero(found.compared & ~found.told_apart))})


def _numbers(board: Leaderboard, row: int, tied: bool) -> dict[str, object]:
    """A combination as numbers: means, half-widths and counts of all its metrics."""
    at = board.table.iloc[row]
    out: dict[str, object] = {"group": board.name} if board.name else {}
    out |= {"rank": row + 1} | {axis.name: _number(axis, at[axis.name]) for axis in board.axes}
    for name in dict.fromkeys([*board.shown, *board.digits]):
        out |= {name: at[name], f"{name} half_width": at[f"{name} half"], f"{name} n": int(at[f"{name} n"])}
    return out | {name: int(at[name]) for name in STATUSES} | {"best_or_not_told_apart": tied}


def _frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Rows as a table in which counts are integers where some are missing, too."""
    table = pd.DataFrame(rows)
    counts = [name for name in table if name in COUNTS or str(name).endswith(" n")]
    return table.astype(dict.fromkeys(counts, "Int64"))


def _number(axis: Axis, label: str) -> str | float:
    """The number behind a label, where all values of the axis are numbers."""
    return label if axis.numbers is None else axis.numbers[axis.values.index(label)]


# ---- pivots --------------------------------------------------------------------------------------------------------


def pivot_table(board: Leaderboard, rows: str, columns: str) -> PaperTable:
    """The ranking metric over two axes; a cell shows the best combination over all other axes.

    Raises RequestError for what is no axis of the board, or twice the same.
    """
    first, second = _axis(board, rows), _axis(board, columns)
    if first.name == second.name:
        raise RequestError(f"--pivot got {rows!r} twice: name two of the axes {_listed(board)}")
    best, _ = grid_of(board, first, second)
    bold = bold_rows(board)
    counts = {int(row): int(board.table[f"{board.metric} n"].iloc[int(row)]) for row in best.stack() if row >= 0}
    unequal = len(set(counts.values())) > 1
    lines: list[list[Cell]] = []
    data: list[dict[str, object]] = []
    for label in coarse_values(first):
        line = [Cell(_label(label))]
        for other in coarse_values(second):
            found = best.at[label, other]
            row = int(found) if found >= 0 else -1
            here: dict[str, object] = {first.name: label, second.name: other}
            if row < 0:
                status = why_empty(board, first, second, here) if found == -1 else "not run"
                text = status if found == -1 else NOT_RUN
                data.append({**here, "status": status})
            else:
                status = _lost(board, row)
                beside = ", ".join([f"n = {counts[row]}"] * unequal + [status] * bool(status))
                text = _value(board, row, board.metric) + (f" ({beside})" if beside else "")
                data.append({**_numbers(board, row, row in bold), **here, "status": status})
            line.append(Cell(text, row in bold))
        lines.append(line)
    others = [field_words(axis.name) for axis in board.axes if axis.name not in (first.name, second.name)]
    chosen = f"A cell is the best combination over {_and(others)}." if others else ""
    binned = [field_words(axis.name) for axis in (first, second) if axis.sampled]
    bins = f"Values of {_and(binned)} are in bins of equally many." if binned else ""
    empty = f"{NOT_RUN}: not run." if best.isna().any(axis=None) else ""
    return PaperTable(
        title=_title(board, f"{first.name} by {second.name}"),
        caption=[
            *_means(board, [*counts.values()], [board.metric], lines),
            *filter(None, [chosen, bins, _bold_words(board), empty]),
            *_notes(board),
        ],
        header=[field_words(first.name), *map(_label, coarse_values(second))],
        rows=lines,
        numeric=frozenset(range(1, 1 + len(coarse_values(second)))),
        over=field_words(second.name),
        data=_frame(data),
    )


def _axis(board: Leaderboard, name: str) -> Axis:
    for axis in board.axes:
        if axis.name == name:
            return axis
    if len(board.axes) < 2:
        raise RequestError(f"--pivot got {name!r}: it needs two axes, and this sweep varies {_listed(board) or 'none'}")
    raise unknown("axis of --pivot", name, [axis.name for axis in board.axes])


def _listed(board: Leaderboard) -> str:
    return ", ".join(axis.name for axis in board.axes)


def why_empty(board: Leaderboard, first: Axis, second: Axis, labels: dict[str, object]) -> str:
    """Why no combination of a cell has a value."""
    cell = pd.Series(True, index=board.table.index)
    for axis in (first, second):
        cell &= board.table[axis.name].map(coarse(axis)) == labels[axis.name]
    part = board.table[cell]
    return _lost_words({name: int(part[name].sum()) for name in (*LOST, "pending")}, int(part["runs"].sum()))


# ---- words ---------------------------------------------------------------------------------------------------------


def field_words(name: str) -> str:
    """`learning_rate` → `learning rate`."""
    return name.replace("_", " ")


def _label(value: object) -> str:
    """A value of an axis; `none` for an empty one, such as no augmentation."""
    return str(value) or "none"


def _value(board: Leaderboard, row: int, metric: str) -> str:
    """Mean ± half-width, or what became of the runs."""
    if np.isfinite(board.interval(row, metric).mean):
        return board.cell(row, metric)
    at = board.table.iloc[row]
    if metric != board.metric and int(at[f"{board.metric} n"]):
        return NOT_RUN
    return _lost_words({name: int(at[name]) for name in (*LOST, "pending")}, int(at["runs"]))


def _lost(board: Leaderboard, row: int) -> str:
    """`1 of 4 diverged`; empty if no run of a combination with a value was lost or is pending."""
    at = board.table.iloc[row]
    counts = {name: int(at[name]) for name in (*LOST, "pending")}
    has_value = np.isfinite(board.interval(row, board.metric).mean)
    return _lost_words(counts, int(at["runs"])) if any(counts.values()) and has_value else ""


def _lost_words(counts: dict[str, int], runs: int) -> str:
    """`diverged` for all of the runs, `1 of 4 diverged, 1 failed` for some; `no value` for none."""
    found = {name: count for name, count in counts.items() if count}
    if list(found.values()) == [runs]:
        return next(iter(found))
    parts = [f"{count}{'' if at else f' of {runs}'} {name}" for at, (name, count) in enumerate(found.items())]
    return ", ".join(parts) or "no value"


def _title(board: Leaderboard, what: str) -> str:
    return f"{what}, {board.name}" if board.name else what


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _means(board: Leaderboard, counts: list[int], metrics: list[str], rows: list[list[Cell]]) -> list[str]:
    """What the numbers are: `Validation accuracy (higher is better): mean ± … over n = 4 seeds.`"""
    which = "lower" if board.lower else "higher"
    names = _and([metric_words(name) for name in metrics])
    what = f"{names[:1].upper()}{names[1:]}{f' of runs with {board.name}' if board.name else ''} ({which} is better)"
    seen = sorted({count for count in counts if count})
    if not seen:
        return [f"{what}: no run has a value."]
    if seen == [1]:
        return [f"{what}, n = 1: one seed each, so there are no intervals."]
    n = f"n = {seen[0]}" if len(seen) == 1 else f"n = {seen[0]} to {seen[-1]}"
    out = [f"{what}: mean ± half the width of Student's 95% interval over {n} seeds."]
    texts = [cell.text for row in rows for cell in row]
    if any(CUT.search(text) for text in texts):
        out.append("In brackets are the ends of intervals that are cut at 0 or 1.")
    if any(EQUAL.search(text) for text in texts):
        out.append("Seeds with equal values have no interval.")
    return out


def _bold_words(board: Leaderboard) -> str:
    if not board.has_best or len(board.table) < 2:
        return ""
    found = compared_with_best(board)
    compared, total = int(found.compared.sum()), len(board.table)
    if not compared:
        return "Bold: the best; no other has two seeds in common with it, so none is compared with it."
    rest = int(board.table[board.metric].notna().sum()) - 1 - compared
    left = f"; {rest} with fewer than two seeds in common with it are not compared" if rest else ""
    return (
        "Bold: the best and all that cannot be told apart from it (paired by seed, at 5% for all pairs of the "
        f"{total} combinations together{left})."
    )


def _notes(board: Leaderboard) -> list[str]:
    """What a reader must know of the numbers."""
    out = []
    if board.has_best and len(board.table) > 1:
        out.append(f"Ranked by {metric_words(board.metric)}, which therefore flatters the best.")
    if any(board.table[name].any() for name in LOST):
        out.append("Diverged, failed and pruned runs are counted, and not in the means.")
    if pending := int(board.table["pending"].sum()):
        out.append(f"{pending:,} of {len(board.runs):,} runs are pending.")
    return out
