"""The leaderboard in a terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lanes.errors import printable
from lanes.results.leaderboard import Leaderboard, Ranking
from lanes.results.naming import named


def print_leaderboard(ranking: Ranking, top: int = 10, console: Console | None = None) -> None:
    """Print the best `top` combinations as a table: mean ± 95% interval over seeds, n, and how many were lost.

    Runs that the metric does not compare make a table of each kind.
    """
    console = console or Console()
    if not console.is_terminal:  # a log file has no width
        console = Console(file=console.file, width=max(console.width, 160))
    if ranking.apart:
        console.print(printable(ranking.apart), markup=False, highlight=False)
    for board in ranking.boards:
        _print_board(board, top, console)
    if ranking.left_out:
        console.print(printable(ranking.left_out), markup=False, highlight=False)
    note = "±: Student's 95% interval over seeds, for one split of the data. Row 1 was selected by its metric, which flatters it."
    console.print(note, markup=False, highlight=False, style="dim")


def _print_board(board: Leaderboard, top: int, console: Console) -> None:
    if not board.has_best:
        where = f" with {board.name}" if board.name else ""
        console.print(printable(f"No run{where} has a value of {board.metric} yet."), markup=False, highlight=False)
        return
    shown = min(top, int((board.table[board.metric].notna() | (board.table["early n"] > 0)).sum()))
    if board.name:
        console.print(f"\n{printable(board.name)}", markup=False, highlight=False, style="bold")
    title = f"Best {shown} of {len(board.table)} combinations by {board.metric}, mean ± 95% interval over seeds"
    table = Table(title=Text(printable(title)), title_justify="left", header_style="bold", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    names = named(board) if board.design is not None else None
    for name in [axis.name for axis in board.axes] if names is None else ["change"]:  # these fold, numbers do not
        table.add_column(Text(printable(name)), overflow="fold")
    with_pruned = bool((board.table["early n"] > 0).any())
    for name in (*board.evaluations, "n", "diverged", *(["pruned", "pruned runs"] if with_pruned else [])):
        table.add_column(Text(printable(name)), justify="right", no_wrap=True)
    for row in range(shown):
        at = board.table.iloc[row]
        numbers = [board.cell(row, name) for name in board.evaluations]
        labels = [str(at[axis.name]) for axis in board.axes] if names is None else [names[row]]
        cells = [str(row + 1), *labels, *numbers, str(at[f"{board.metric} n"])]
        cells += [str(at["diverged"] or ""), *([str(at["pruned"] or ""), board.early(row)] if with_pruned else [])]
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)
