"""One style for all figures on paper: a column wide, 8-point text, colours that colour-blind readers tell apart.

Text is drawn as it is: no label is taken for mathematics, and control characters are shown as escapes.
"""

import dataclasses
import io
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from lanes.errors import printable
from lanes.results.intervals import Interval
from lanes.results.leaderboard import Leaderboard
from lanes.results.statistics import metric_words

INK, QUIET, LINE, EMPTY = "#1c1f24", "#69717c", "#e4e7eb", "#eceef1"
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 2)))
SEQUENTIAL = LinearSegmentedColormap.from_list("lanes", ["#f6f9fc", "#c3daee", "#6ea6d8"])
WIDTH = 3.3  # inches: a column of a two-column paper
DPI = 300  # of PNG
LOG_RATIO = 30  # positive values with a larger ratio are drawn on a log axis
FEW = 7  # most values of a numeric field with a tick each
LONGEST = 34  # characters of a label
STYLE: Any = {
    "font.size": 8,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that figures look alike everywhere
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,
    "svg.hashsalt": "lanes",  # equal figures are equal files
    "svg.fonttype": "path",
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "path.simplify": True,
}

# Units of what is not a pure number.
FIELD_UNITS = {"batch_size": "examples", "epochs": "epochs", "patience": "epochs", "eval_every": "epochs"}
NATS = ("elbo", "reconstruction", "divergence", "importance_bound", "nll", "predictive_entropy")
NATS_LOSSES = (
    *("softmax_cross_entropy", "binary_cross_entropy", "sigmoid_cross_entropy", "negative_log_likelihood"),
    *("kl_divergence", "gaussian_nll"),
)


@dataclasses.dataclass(frozen=True)
class StaticFigure:
    """A figure for a paper.

    Attributes:
        name: its file's name without the ending.
        message: what it shows, in a sentence or two.
        height: in inches; every figure is a column wide.
        draw: draws it into the axes.
    """

    name: str
    message: str
    height: float
    draw: Callable[[Axes], None]


def rendered(figure: StaticFigure, form: str) -> bytes:
    """A figure as the content of a file, `svg` or `png`; equal figures give equal bytes with the same matplotlib."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.* missing from")  # is drawn as a box
        page = Figure(figsize=(WIDTH, figure.height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
        FigureCanvasAgg(page)
        figure.draw(page.add_subplot())
        content = io.BytesIO()
        about = {"Title": printable(figure.message)} | ({"Date": None} if form == "svg" else {"Software": None})
        page.savefig(content, format=form, metadata=about)
    return content.getvalue()


# ---- labels --------------------------------------------------------------------------------------------------------


def short(text: object, longest: int = LONGEST) -> str:
    """A label on one line, cut where it is long; `none` for an empty one."""
    label = printable(str(text)) or "none"
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def field_label(name: str) -> str:
    """`batch_size` → `batch size (examples)`."""
    unit = FIELD_UNITS.get(name)
    return short(name.replace("_", " ")) + (f" ({unit})" if unit and unit != name else "")


def metric_label(board: Leaderboard, metric: str) -> str:
    """`valid_loss` → `validation loss (nats)`, for a loss in nats."""
    words = short(metric_words(metric))
    losses = {str(loss) for loss in board.runs.get("loss", ())}
    name = metric.split("_", 1)[1] if "_" in metric else metric
    is_loss = name in ("loss", *NATS_LOSSES)
    plain = bool(losses) and losses <= set(NATS_LOSSES)
    if name in NATS or (is_loss and (plain or name in NATS_LOSSES)):
        return f"{words} (nats)"
    return f"{words} (s)" if metric == "seconds" else words


# ---- axes ----------------------------------------------------------------------------------------------------------


def spans(values: Iterable[float], ratio: float = LOG_RATIO) -> bool:
    """Whether values are positive with a ratio above `ratio`, so that a linear axis would crush them."""
    found = finite(values)
    return bool(found.size and found.min() > 0 and found.max() / found.min() > ratio)


def is_log(values: Iterable[float]) -> bool:
    """Whether values span much, and lie more evenly by their logarithms: their median is nearer to the middle there."""
    found = finite(values)
    if not spans(found):
        return False
    middles = [(np.median(each) - each.min()) / np.ptp(each) for each in (found, np.log(found))]
    return bool(abs(middles[1] - 0.5) <= abs(middles[0] - 0.5))


def finite(values: Iterable[float]) -> np.ndarray:
    """The finite ones of values."""
    array = np.asarray(list(values), dtype=float)
    return array[np.isfinite(array)]


def set_log(axes: Axes, which: str, values: Iterable[float]) -> None:
    """A log axis with plain numbers at 1, 2 and 5, or at powers of ten over more than two decades."""
    found = finite(values)
    found = found[found > 0]
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    if not found.size:
        return
    low, high = math.floor(math.log10(found.min())), math.ceil(math.log10(found.max()))
    steps = (1, 2, 5) if math.log10(found.max() / found.min()) <= 2 else (1,)
    every = max(1, math.ceil((high - low + 1) / 7))
    ticks = [step * 10.0**power for power in range(low, high + 1, every) for step in steps]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def set_metric(axes: Axes, which: str, values: Iterable[float], lower: bool, ratio: float = LOG_RATIO) -> None:
    """The axis of a metric: log where lower values are better and span more than `ratio`."""
    values = list(values)
    if lower and spans(values, ratio):
        set_log(axes, which, values)
    else:
        (axes.xaxis if which == "x" else axes.yaxis).set_major_locator(MaxNLocator(5))
    axes.grid(axis="x" if which == "x" else "y")


def set_rows(axes: Axes, labels: Sequence[object], start: float = 0.0) -> None:
    """Rows with labels at `start`, `start` + 1, …, the first on top."""
    axes.set_yticks(np.arange(len(labels)) + start, [short(label) for label in labels])
    axes.set_ylim(start + len(labels) - 0.5, start - 0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def set_heading(axes: Axes, text: str) -> None:
    """A line above the labels of rows, which names their parts."""
    if text:
        axes.figure.suptitle(short(text, 58), x=0.01, ha="left", color=QUIET, fontsize=7)


def set_numbers(axes: Axes, numbers: Sequence[float]) -> None:
    """The x axis of a numeric field: log where the numbers span much, with a tick at each of few."""
    if is_log(numbers):
        set_log(axes, "x", numbers)
    if len(numbers) <= FEW:
        axes.xaxis.set_major_locator(FixedLocator(list(numbers)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def set_columns(axes: Axes, labels: Sequence[object], beside: Iterable[object] = (), start: float = 0.0) -> None:
    """Columns with labels at `start`, `start` + 1, …, turned where they would not fit beside the labels of rows."""
    names = [short(label, 20) for label in labels]
    letter = 0.06  # inches
    room = WIDTH - 0.45 - letter * max((len(short(label)) for label in beside), default=5)
    axes.set_xticks(np.arange(len(names)) + start, names)
    axes.set_xlim(start - 0.5, start + len(names) - 0.5)
    if letter * (max(map(len, names)) + 1) > room / len(names):
        few = len(names) <= 12
        axes.tick_params(axis="x", rotation=45 if few else 90)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right" if few else "center")
            label.set_rotation_mode("anchor" if few else "default")


def bars(found: Sequence[Interval]) -> np.ndarray:
    """Lengths [2, N] of error bars down and up; 0 without an interval."""
    known = [(each.mean - each.low, each.high - each.mean) if each.is_known else (0.0, 0.0) for each in found]
    return np.maximum(np.array(known, dtype=float).reshape(-1, 2).T, 0.0)  # a mean may lie outside its cut interval
