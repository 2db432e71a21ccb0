"""The page's section of what to try next: axes whose best value stands at an edge, and what more seeds would show."""

import math

from lanes.reporting.markup import Markup, literal, paragraph, table, together
from lanes.reporting.plotting import words
from lanes.results.edges import Allowed, Edge, edges
from lanes.results.following_grid import following_grid
from lanes.results.intervals import decimals
from lanes.results.leaderboard import Leaderboard
from lanes.results.noise_floor import noise_floor


def next_steps(board: Leaderboard, allowed: Allowed | None = None) -> Markup:
    """Edges with the grid that would follow, and the noise floor."""
    if not board.has_best:
        return Markup("")
    found = edges(board, allowed)
    parts = [paragraph(edge_text(edge), "warn") for edge in found]
    if found:
        code = following_grid(board, found)
        parts += [
            paragraph("The grid that would follow, for the experiment's sweep():", "quiet"),
            literal(code, "copy"),
        ]
    return together(*parts, _noise(board))


def at_an_edge(edge: Edge) -> str:
    """`The best learning_rate, 0.1, is the highest of the 4 that were tried`."""
    end = "highest" if edge.highest else "lowest"
    if edge.sampled:
        return f"The best {edge.axis}, {edge.value:g}, is at the {'upper' if edge.highest else 'lower'} end of what was tried"
    return f"The best {edge.axis}, {edge.value:g}, is the {end} of the {edge.tried} that were tried"


def edge_text(edge: Edge) -> str:
    """That the best value of an axis stands at its edge, and how far it leads its neighbour."""
    beyond = "higher" if edge.highest else "lower"
    text = f"{at_an_edge(edge)}: {beyond} values may be better."
    if math.isfinite(edge.inner.mean) and edge.inner.n > 1:
        digits = decimals([edge.inner.half], [edge.inner.mean])
        sign = "+" if edge.inner.mean > 0 else ""
        lead = f"{sign}{edge.inner.text(digits)}" + (f" (n = {edge.inner.n})" if edge.inner.is_known else "")
        text += f" Against its neighbour, with all else equal and paired by seed: {lead}."
    return text


def _noise(board: Leaderboard) -> Markup:
    """What the seeds can show, for the ranking metric and the same on test."""
    rows = []
    for metric in board.evaluations:
        found = noise_floor(board, metric)
        if found is not None:
            digits = max(board.digits[metric], 2) + 1
            numbers = (found.deviation, found.paired, found.unpaired)
            texts = [f"{number:.{digits}f}" if math.isfinite(number) else "–" for number in numbers]
            needed = [str(count) if count else "–" for count in (found.paired_seeds_for_half, found.seeds_for_half)]
            rows.append([metric, found.seeds, texts[0], texts[1], needed[0], texts[2], needed[1]])
    if not rows:
        return Markup("")
    note = (
        f"Noise floor: the smallest difference of two combinations in {words(board.metric)} that n seeds can show, which is half "
        "the width of the 95% interval of a difference at the standard deviation between seeds, pooled over the combinations: "
        "t(n - 1) s_d / √n paired by seed, with s_d that of differences, and t(2n - 2) s √(2/n) unpaired. A true difference of "
        "this size is found half of the time; a single comparison, not corrected for several."
    )
    head = ["metric", "n", "s", "paired", "n for half of it", "unpaired", "n for half of it"]
    return Markup("<h3>Noise floor</h3>") + paragraph(note, "quiet") + table(head, rows, range(1, len(head)))
