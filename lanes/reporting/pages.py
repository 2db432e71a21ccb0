"""The report page: a self-contained HTML file with the answer first, then what supports it."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lanes.describe.directions import merged
from lanes.errors import RequestError, unknown
from lanes.files import oddity, write_bytes
from lanes.reporting import answers, embedded, figures, sections
from lanes.reporting.baselines import baseline_section
from lanes.reporting.comparison import Comparison, compare
from lanes.reporting.diagnosed import diagnoses
from lanes.reporting.importances import importances
from lanes.reporting.markup import Markup, document, escape, fact_list, figure, paragraph, section, table, together
from lanes.reporting.next_steps import next_steps
from lanes.reporting.outcomes import outcomes
from lanes.reporting.provenance import pretty, provenance_of, provenance_section
from lanes.reporting.question import question
from lanes.reporting.robust_means import interquartile_means
from lanes.results.baseline import find_baseline
from lanes.results.edges import allowed_by
from lanes.results.intervals import Interval, decimals
from lanes.results.leaderboard import STATUSES, Leaderboard, Ranking, ranking
from lanes.results.questions import questions
from lanes.results.statistics import COMPARABLE, DIRECTIONS, Stated

STATISTICS = ("mean", "iqm")
NOTHING = Markup("")


def write_report(
    directories: list[Path],
    metric: str | None = None,
    out: Path | None = None,
    statistic: str = "mean",
    baseline: Sequence[str] = (),
) -> Path:
    """Write the report of one or several directories, and return its path.

    Args:
        directories: of sweeps; the others are compared with the first, paired by seed.
        metric: ranks the combinations; by default as in `groups.comparable_groups`.
        out: the file; None is `report.html` in the first directory.
        statistic: "iqm" adds a section of interquartile means with stratified bootstrap intervals.
        baseline: `FIELD=VALUE` conditions that one combination meets, which all others are compared with.

    Raises RequestError for a directory without a sweep, if no run has ended, for an unknown metric, and for a baseline that no
    combination meets, or several do.
    """
    runs, curves = read(directories)
    return write_page(ranking(runs, metric), curves, directories, out, statistic, baseline)


def write_page(
    ranked: Ranking,
    curves: pd.DataFrame,
    directories: list[Path],
    out: Path | None = None,
    statistic: str = "mean",
    baseline: Sequence[str] = (),
) -> Path:
    """`write_report` of runs that are read and ranked already. Raises RequestError as that."""
    if statistic not in STATISTICS:
        raise unknown("--statistic", statistic, STATISTICS)
    names = names_of(directories)
    provenance = {name: provenance_of(path) for name, path in names.items()}
    text = page(ranked, curves, provenance, statistic, baseline, names)
    return written(text, out or directories[0] / "report.html")


def written(text: str, target: Path) -> Path:
    """The target, with a page in it.

    Raises RequestError if it cannot be written.
    """
    if (odd := oddity(target)) is not None:
        raise RequestError(f"cannot write {target}: it {odd}; move it away, or choose another file with --out")
    try:
        write_bytes(target, text.encode())
    except OSError as error:
        raise RequestError(f"cannot write {target}: {error.strerror}; choose another file with --out") from None
    return target


def read(directories: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs and curves of directories, with a column `dir` if there are several.

    Raises RequestError for a directory without a sweep, and if no run has ended.
    """
    from lanes.results.tables import load, load_curves

    if not directories:
        raise RequestError("no directory given: name the --out of one or more sweeps")
    names = names_of(directories)
    runs = {name: load(path) for name, path in names.items()}
    if not any("status" in table and table["status"].notna().any() for table in runs.values()):
        raise RequestError(f"{directories[0]} has no results yet: no run has ended; try again later")
    curves = {name: load_curves(path) for name, path in names.items()}
    if len(names) == 1:
        return next(iter(runs.values())), next(iter(curves.values()))
    return _joined(runs), _joined(curves)


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables concatenated, with the name of each in a column `dir`."""
    from lanes.results.tables import joined

    table = joined([frame.assign(dir=name) for name, frame in tables.items()])
    for frame in tables.values():
        stated = merged(table.attrs.get(DIRECTIONS, {}), frame.attrs.get(DIRECTIONS, {}))
        measured = table.attrs.get(COMPARABLE, {}) | frame.attrs.get(COMPARABLE, {})
        table.attrs |= {DIRECTIONS: stated, COMPARABLE: Stated(measured)}
    return table


def names_of(directories: list[Path]) -> dict[str, Path]:
    """A short, distinct name for each directory."""
    plain = [path.resolve().name for path in directories]
    names = plain if len(set(plain)) == len(plain) else [str(path) for path in directories]
    if len(set(names)) < len(names):
        raise RequestError(f"{', '.join(names)}: a directory is given twice; name each once")
    return dict(zip(names, directories, strict=True))


# ---- the page ------------------------------------------------------------------------------------------------------


def page(
    ranked: Ranking,
    curves: pd.DataFrame,
    provenance: dict[str, dict[str, Any]],
    statistic: str = "mean",
    baseline: Sequence[str] = (),
    paths: Mapping[str, Path] | None = None,
) -> str:
    """The page as text.

    Args:
        ranked: the runs of `lanes.load`'s table, with a column `dir` for several directories.
        curves: a row per run and epoch: `run_id`, `epoch` and metrics; `dir` as in `runs`.
        provenance: `provenance_of` each directory, by the directory's name.
        statistic, baseline: see `write_report`.
        paths: of the directories, by name, for their experiments' docstrings, for what their fields take, and for commands.
    """
    runs, boards = ranked.runs, ranked.boards
    allowed = {id(board): allowed_by(list((paths or {}).values()), board) for board in boards}
    chosen = {id(boards[at]): row for at, row in find_baseline(boards, baseline).items()}
    several = "dir" in runs and runs["dir"].nunique() > 1
    apart_from = paragraph(ranked.apart, "warn") + paragraph(ranked.left_out, "warn")
    parts = [
        (
            "answer",
            "Answer",
            apart_from + _each(boards, lambda board: answers.answer(board, curves, allowed[id(board)])),
        ),
        ("comparison", "Comparison", _each(boards, comparisons) if several else Markup("")),
        (
            "baseline",
            "Against the baseline" if baseline else "One change at a time",
            _each(boards, lambda board: baseline_section(board, chosen.get(id(board)))),
        ),
        ("next", "What next", _each(boards, lambda board: next_steps(board, allowed[id(board)]))),
        ("importance", "Importance", _each(boards, importances)),
        ("axes", "Axes", _each(boards, sections.axes)),
        ("pairs", "Pairs", _each(boards, sections.pairs)),
        ("robust", "Interquartile means", _each(boards, interquartile_means) if statistic == "iqm" else Markup("")),
        ("curves", "Curves", _each(boards, functools.partial(sections.curves, epochs=curves))),
        ("gap", "Generalization gap", _each(boards, sections.gap)),
        ("board", "Leaderboard", _each(boards, sections.whole_leaderboard)),
        ("outcomes", "Outcomes", _each(boards, outcomes)),
        ("diagnoses", "Diagnoses", diagnoses((paths or {}).values())),
        ("provenance", "Provenance", provenance_section(runs, provenance)),
    ]
    kept = [(anchor, title, inside) for anchor, title, inside in parts if inside]
    body = [section(f"section-{anchor}", title, inside) for anchor, title, inside in kept]
    title = " · ".join(provenance) or "sweep"
    contents = [(f"section-{anchor}", name) for anchor, name, _ in kept]
    places = {name: str((paths or {}).get(name, name)) for name in provenance}
    data = embedded.embedded(boards, curves, places)
    asked = question([text for path in (paths or {}).values() for text in questions(path, runs)])
    top = header(title, boards, provenance, asked) + filter_bar(boards)
    return document(f"{title}: report", top, contents, body, data)


def _each(boards: list[Leaderboard], make: Callable[[Leaderboard], Markup]) -> Markup:
    """A section of each board, under its name if there are several."""
    parts = []
    for position, board in enumerate(boards):
        if inside := make(board):
            name = Markup(f"<h3>{escape(board.name)}</h3>") if len(boards) > 1 else Markup("")
            parts.append(Markup(f'<div data-board="{position}">{name}{inside}</div>'))
    return together(*parts)


def header(
    title: str, boards: list[Leaderboard], provenance: dict[str, dict[str, Any]], asked: Markup = NOTHING
) -> Markup:
    """Title, question, command and counts."""
    runs = pd.concat([board.runs for board in boards])
    counts = runs["status"].value_counts()
    seconds = pd.to_numeric(runs.get("seconds", pd.Series(dtype=float)), errors="coerce").sum()
    facts = {"runs": len(runs), "combinations": sum(len(board.table) for board in boards)}
    if "seed" in runs:
        facts["seeds"] = int(runs["seed"].nunique())
    facts |= {name.replace("_", " "): int(counts[name]) for name in STATUSES if counts.get(name, 0)}
    lines = [paragraph(pretty(found["command"]), "quiet") for found in provenance.values() if found.get("command")]
    return Markup(f"<h1>{escape(title)}</h1>{asked}{''.join(lines)}") + fact_list(
        {name: f"{value:,}" for name, value in facts.items()} | ({"device time": _duration(seconds)} if seconds else {})
    )


def filter_bar(boards: list[Leaderboard]) -> Markup:
    """The field in which the reader writes which runs the page is about; shown by the page's script, which applies it."""
    axis = next((axis for board in boards for axis in board.axes if not axis.sampled), None)
    example = f"{axis.name}={axis.values[-1]} seed<3" if axis else "seed<3"
    return Markup(
        '<form class="filter" role="search" hidden><label>Filter '
        f'<input type="search" placeholder="{escape(example)}" aria-describedby="filter-help" spellcheck="false" '
        'autocomplete="off" autocapitalize="off"></label> <select></select> <button type="button">Clear</button>'
        '<output></output><p id="filter-help" class="note">Figures and tables then show the matching runs only. Write '
        "field=value, also with !=, &lt; and &gt;; values of one field are alternatives, fields must all match. What is "
        "marked “all runs” stays as it is.</p></form>"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


# ---- comparison -----------------------------------------------------------------------------------------------------


def comparisons(board: Leaderboard) -> Markup:
    """The directories of a board's runs, each compared with the first."""
    if "dir" not in board.runs or board.runs["dir"].nunique() < 2:
        return Markup("")
    found = compare(board.runs.drop(columns="combination"), board.metric, board.evaluations)
    return together(*(comparison(item, board) for item in found))


def comparison(found: Comparison, board: Leaderboard) -> Markup:
    """A directory compared with the first."""
    parts = [Markup(f"<h3>{escape(found.second)} − {escape(found.first)}</h3>")]
    differ = "; ".join(f"{name}: {a} → {b}" for name, a, b in found.constants)
    parts.append(
        paragraph(
            f"Constant within each directory, different between them: {differ}." if differ else "No constant differs.",
            "quiet",
        )
    )
    metrics = list(found.overall)
    rows = [
        [what, *(_difference(cells[name]) for name in metrics), cells[metrics[0]].n, pairs]
        for what, cells, pairs in (
            ("all pairs of runs", found.overall, found.pairs[metrics[0]]),
            ("best − best, each selected in its own directory", found.best, found.best[metrics[0]].n),
        )
    ]
    head = ["difference, paired by seed", *metrics, "n (seeds)", "pairs of runs"]
    parts.append(table(head, rows, range(1, len(metrics) + 3)))
    parts.append(paragraph("Mean over seeds of the mean difference within a seed ± 95% interval over seeds.", "note"))
    if found.unpaired:
        parts.append(paragraph(f"{found.unpaired:,} runs have no partner in the other directory.", "note"))
    ranked = found.combinations[found.combinations[board.metric].notna()].sort_values(
        board.metric, ascending=board.lower
    )
    if len(ranked) > 1:
        shown = pd.concat([ranked.head(20), ranked.tail(20)]).drop_duplicates() if len(ranked) > 40 else ranked
        names = [" · ".join(str(at[field]) for field in found.fields) for _, at in shown.iterrows()]
        cut = f" Showing the 20 highest and the 20 lowest of {len(ranked)}." if len(shown) < len(ranked) else ""
        caption = f"Difference of each combination of {', '.join(found.fields)}, paired by seed, ± 95% interval.{cut}"
        parts.append(figure(figures.differences(shown, board.metric, names), caption))
    return together(*parts)


def _difference(value: Interval) -> str:
    text = value.text(decimals([value.half], [value.mean]))
    return f"+{text}" if value.mean > 0 else text
