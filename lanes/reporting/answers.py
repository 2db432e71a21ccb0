"""The first section of the page: the best combination, how clearly it leads, and what its numbers cover."""

import pandas as pd

from lanes.reporting import sections
from lanes.reporting.markup import Markup, escape, fact_list, live, paragraph, table, together
from lanes.reporting.next_steps import at_an_edge
from lanes.reporting.plotting import words
from lanes.results.edges import Allowed, edges
from lanes.results.equal_epochs import at_equal_epoch
from lanes.results.intervals import binomial_error, decimals
from lanes.results.leaderboard import Leaderboard, separation
from lanes.results.naming import change

SHOWN = 5  # combinations in the tables


def answer(board: Leaderboard, epochs: pd.DataFrame, allowed: Allowed | None = None) -> Markup:
    """The best combination, how clearly it leads, and the five best; where runs were pruned, also at an equal epoch."""
    if not board.has_best:
        return paragraph(f"No finished run has a value of {board.metric}: see Outcomes.", "warn")
    best = board.table.iloc[0]
    choice = _choice(board)
    selected = f"{words(board.metric)}{' (selected)' if len(board.table) > 1 else ''}"
    numbers: dict[str, object] = {selected: _value(board, 0, board.metric)}
    numbers |= {words(name): _value(board, 0, name) for name in board.shown if name != board.metric}
    numbers |= {"n": int(best[f"{board.metric} n"])}
    numbers |= {name: int(best[name]) for name in ("diverged", "pruned") if best[name]}
    box = Markup(f'<div class="answer"><p class="choice">{choice or "one combination"}</p>{fact_list(numbers)}</div>')
    rows = [sections.row_of(board, row) for row in range(min(SHOWN, len(board.table)))]
    ids = board.runs.loc[board.runs["combination"] == 0, "run_id"].astype(str).tolist()
    shown_ids = ", ".join(ids[:10]) + (f" and {len(ids) - 10} more" if len(ids) > 10 else "")
    best_five = table(sections.columns(board), rows, sections.right(board), "wide")
    return together(
        live("kept"),
        paragraph(_criterion(board), "quiet"),
        box,
        paragraph(_covers(board), "quiet"),
        paragraph(_lead(board)),
        *(paragraph(text, "warn") for text in _cautions(board, allowed)),
        live("top", inside=best_five) if len(board.table) > 1 else Markup(""),
        paragraph(f"Runs of the best: {shown_ids}", "note"),
        live("best", most=sections.BEST) if len(board.table) > 1 else Markup(""),
        _equal_epochs(board, epochs),
    )


def _choice(board: Leaderboard) -> str:
    """The best combination: all axes with their values, or the one change of a one-at-a-time sweep."""
    best = board.table.iloc[0]
    if board.design is not None:
        rest = "all else as in the base" if board.design.base != 0 else "nothing changed"
        return f"{escape(change(board, board.design, 0))} <span>{rest}</span>"
    return " · ".join(f"<span>{escape(axis.name)}</span> {escape(best[axis.name])}" for axis in board.axes)


def _equal_epochs(board: Leaderboard, epochs: pd.DataFrame) -> Markup:
    """The best combinations at the last epoch that all runs reached; empty if none was pruned."""
    found = at_equal_epoch(board, epochs)
    if found is None:
        return Markup("")
    intervals = list(found.intervals.values())
    digits = decimals([each.half for each in intervals], [each.mean for each in intervals])
    rows = [
        [rank, *sections.labels_of(board, row), each.text(digits), each.n, row + 1]
        for rank, (row, each) in enumerate(list(found.intervals.items())[:SHOWN], start=1)
    ]
    head = ["rank", *sections.label_columns(board), f"{board.metric} by epoch {found.epoch}", "n", "rank above"]
    note = (
        f"Halving ended runs early, and a combination's finished runs are its better ones. At epoch {found.epoch}, which all "
        f"runs reached, the best {words(board.metric)} so far over all seeds:"
    )
    numbers = [0, *range(len(head) - 3, len(head))]
    return paragraph(note, "quiet") + table(head, rows, numbers, "wide")


def _value(board: Leaderboard, row: int, metric: str) -> Markup:
    mean, space, rest = board.cell(row, metric).partition(" ")
    return Markup(f"{escape(mean)}{f' <small>{escape(rest)}</small>' if space else ''}")


def _criterion(board: Leaderboard) -> str:
    order = "lowest" if board.lower else "highest"
    beside = f" {words(board.test).capitalize()} is shown but was not used for ranking." if board.test else ""
    return (
        f"The combination with the {order} {words(board.metric)}, mean over seeds ± 95% interval (Student's t).{beside}"
    )


def _covers(board: Leaderboard) -> str:
    """What the intervals cover, what they do not, and what selection did to the best."""
    texts = ["± covers what differs between seeds, initialization and the order of examples, for one split of the data"]
    texts[0] += " and this test set." if board.test else "."
    for name in board.evaluations:
        mean, examples = board.interval(0, name).mean, board.examples(name)
        if name in board.proportions and examples:
            error = binomial_error(mean, examples)
            texts.append(
                f"The {examples:,} {'test' if name.startswith('test_') else 'validation'} examples add a standard error of "
                f"{error:.2g} to the {words(name)} (binomial), the same for all seeds."
            )
    if any(board.interval(0, name).half == 0 for name in board.shown):
        texts.append("Equal values of all seeds have no interval: they do not say that the spread is zero.")
    if len(board.table) > 1:
        texts.append(
            f"The best of {len(board.table)} combinations was selected by its {words(board.metric)}, which is therefore "
            f"optimistic{': ' + words(board.test) + ' is not' if board.test and board.test != board.metric else ''}."
        )
    return " ".join(texts)


def _lead(board: Leaderboard) -> str:
    found = separation(board)
    if found is None:
        return ""
    if not found.compared and board.table[f"{board.metric} n"].iloc[0] > 1:
        return "No other combination has finished runs of two seeds that the best has, so none is compared with it."
    if not found.compared:
        return "With one seed per combination there are no intervals, so the ranking is weak evidence. Add seeds (--seeds 5)."
    text = found.runner_up.text(decimals([found.runner_up.half], [found.runner_up.mean]))
    second = f"Best minus second, paired by seed: {text} (n = {found.runner_up.n}). " if found.runner_up.n > 1 else ""
    how = (
        "at 5% for all pairs of combinations together (Tukey's studentized range, paired by seed), as the best was selected "
        "from the same runs"
    )
    if not found.tied:
        return f"{second}The best can be told apart from each of the other {found.compared} combinations, {how}."
    return f"{second}{found.tied} of the other {found.compared} combinations cannot be told apart from the best, {how}."


def _cautions(board: Leaderboard, allowed: Allowed | None) -> list[str]:
    texts = [f"{at_an_edge(edge)}: see What next." for edge in edges(board, allowed)]
    if pending := int((board.runs["status"] == "pending").sum()):
        texts.append(f"{pending:,} of {len(board.runs):,} runs are still pending: the ranking may change.")
    if board.metric.startswith("test_"):
        texts.append("Ranked on the test split at your request: the best test result is therefore optimistic.")
    elif board.metric.startswith("train_"):
        texts.append("Ranked on the training split: these results have no validation split.")
    if bool(board.table["unstable"].iloc[0]):
        texts.append(
            "In every combination, the best included, half or more of the ended runs diverged, failed or were pruned."
        )
    if pruned := int(board.table["pruned"].iloc[0]):
        texts.append(
            f"{pruned} runs of the best were pruned, at most at epoch {board.table['early epoch'].iloc[0]:.0f}: its mean is over "
            f"the {board.interval(0, board.metric).n} that halving kept, which flatters it."
        )
    if repeated := board.repeated():
        texts.append(
            f"{repeated:,} runs share combination and seed with another run: they differ in something without a column."
        )
    return texts
