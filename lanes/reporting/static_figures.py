"""The report's figures as files for a paper: SVG and PNG, a figure for each message."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from lanes.errors import RequestError
from lanes.files import make_folder, oddity, write_bytes
from lanes.reporting import static_axes, static_curves, static_rankings
from lanes.reporting.comparison import compare
from lanes.reporting.static_style import StaticFigure, rendered
from lanes.reporting.table_formats import slug
from lanes.results.baseline import find_baseline
from lanes.results.leaderboard import Leaderboard, leaderboards

FORMATS = ("svg", "png")
LONGEST = 120  # characters of a file's name


def write_figures(
    folder: Path,
    runs: pd.DataFrame,
    curves: pd.DataFrame,
    metric: str | None = None,
    baseline: Sequence[str] = (),
) -> list[Path]:
    """Write every figure that the runs give; other files of the folder stay as they are.

    Args:
        folder: made if it is not there.
        runs: `lanes.load`'s table, with a column `dir` for several directories.
        curves: as `runs`.
        metric: ranks the combinations; by default as in `groups.comparable_groups`.
        baseline: conditions `FIELD=VALUE` that one combination meets, from which the others' differences are drawn.

    Returns the files.

    Raises RequestError for an unknown metric or baseline, and a folder that cannot be written.
    """
    boards = leaderboards(runs, metric)
    rows = find_baseline(boards, baseline)
    written = []
    try:
        make_folder(folder.absolute(), folder.absolute())
        for name, figure in _named(boards, curves, rows):
            for form in FORMATS:
                path = folder / f"{name}.{form}"
                if (odd := oddity(path)) is not None:
                    raise RequestError(f"cannot write {path}: it {odd}; move it away, or choose another folder")
                write_bytes(path, rendered(figure, form))
                written.append(path)
    except OSError as error:
        raise RequestError(
            f"cannot write --figures {folder}: {error.strerror or error}; choose another folder"
        ) from None
    return written


def figures(board: Leaderboard, curves: pd.DataFrame, baseline: int | None = None) -> Iterator[StaticFigure]:
    """The figures of a board, in the order of the page; `baseline` is a row of its table."""
    yield from static_rankings.leaderboard_intervals(board)
    yield from static_rankings.differences_to_best(board)
    if baseline is not None:
        yield from static_rankings.differences_to_baseline(board, baseline)
    if "dir" in board.runs and board.runs["dir"].nunique() > 1:
        for found in compare(board.runs.drop(columns="combination"), board.metric, board.evaluations):
            yield from static_rankings.comparison_figures(found, board)
    if board.has_best:
        yield from static_axes.main_effects(board)
        yield from static_axes.slices(board)
        yield from static_axes.importances(board)
        yield from static_axes.heat_maps(board)
        yield from static_curves.learning_curves(board, curves)
        yield from static_curves.gaps(board)
    yield from static_rankings.outcomes(board)


def _named(
    boards: list[Leaderboard], curves: pd.DataFrame, baselines: Mapping[int, int]
) -> Iterator[tuple[str, StaticFigure]]:
    """Each figure with a file name that no other has: that of its board, where there are several, and its own."""
    used: set[str] = set()
    for position, board in enumerate(boards):
        for figure in figures(board, curves, baselines.get(position)):
            own = re.sub(r"[^A-Za-z0-9_-]+", "_", figure.name).strip("_")
            name = f"{slug(board.name)}_{own}"[:LONGEST] if board.name else own[:LONGEST]
            candidates = itertools.chain([name], (f"{name}_{at}" for at in itertools.count(2)))
            name = next(found for found in candidates if found.lower() not in used)
            used.add(name.lower())
            yield name, figure
