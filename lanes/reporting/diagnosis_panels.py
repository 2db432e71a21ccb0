"""What pictures of diagnoses are put together from: one figure per run, and arrays in the form of inputs in rows and columns."""

import dataclasses
import textwrap
from collections.abc import Callable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MOST_RUNS = 8  # that have pictures of their own
SIGNED = "RdBu_r"
BLUE = "#0072b2"
WIDTH = 7.2  # inches
TALLEST = 8.5
TEXT = 7


@dataclasses.dataclass(frozen=True)
class Row:
    """Arrays [*shape] beside one another.

    Attributes:
        arrays: of the form of inputs.
        label: at the left.
        captions: above each array; empty for none.
        signed: whether numbers are drawn on a scale symmetric about 0, red above and blue below.
    """

    arrays: Sequence[np.ndarray]
    label: str = ""
    captions: Sequence[str] = ()
    signed: bool = False


def per_run(
    table: pd.DataFrame, name: str, labels: dict[str, str], draw: Callable[[pd.DataFrame, str], Figure]
) -> dict[str, Figure]:
    """A figure for each run of a table, of at most eight: NAME of a single run, otherwise NAME_RUN with its first eight digits.

    Args:
        table: with a column `run_id`.
        name: of the picture.
        labels: of the runs, for their titles.
        draw: (the run's rows, its label) -> figure.
    """
    runs = list(dict.fromkeys(table["run_id"]))
    out = {}
    for run_id in runs[:MOST_RUNS]:
        own = table[table["run_id"] == run_id].reset_index(drop=True)
        out[name if len(runs) == 1 else f"{name}_{run_id[:8]}"] = draw(own, labels[run_id])
    return out


def arrays(table: pd.DataFrame, column: str = "values") -> list[np.ndarray]:
    """The arrays of a column of lists, in the shapes that stand beside them."""
    shapes = (tuple(int(side) for side in shape) for shape in table["shape"])
    return [np.asarray(values, float).reshape(shape) for values, shape in zip(table[column], shapes)]


def in_rows(
    found: Sequence[np.ndarray], count: int, captions: Sequence[str] = (), *, signed: bool = False
) -> list[Row]:
    """Arrays, with their captions, in rows of at most so many."""
    starts = range(0, len(found), count)
    return [Row(found[at : at + count], captions=captions[at : at + count], signed=signed) for at in starts]


def entitle(figure: Figure, sentence: str, label: str) -> float:
    """Write what a picture shows, and of which run, above it; returns the height of that, in inches."""
    across = int(figure.get_size_inches()[0] * 13)
    lines = [*textwrap.wrap(sentence, across), *textwrap.wrap(label, across)]
    figure.suptitle("\n".join(lines), fontsize=9)
    return 0.15 * len(lines) + 0.15


def panels(
    rows: Sequence[Row], title: tuple[str, str], *, shared: bool = False, limits: tuple[float, float] | None = None
) -> Figure:
    """Arrays in the form of inputs, one beside another: images, lines over the steps of series, bars of vectors.

    Grey from the lowest to the highest number of a row. Colour images that are not signed are drawn as they are; of signed ones,
    and of other numbers of channels, the mean over the channels is drawn, of volumes the middle slice.

    Args:
        rows: arrays, all of one shape.
        title: what the figure shows, and of which run.
        shared: whether all rows have one scale.
        limits: the lowest and the highest number of the scale, if it is given.
    """
    if rows[0].arrays[0].ndim <= 2:
        return _lines(rows, title, shared)
    flat = [[_flat(array, row.signed) for array in row.arrays] for row in rows]
    scales = [limits or _scale(images, row.signed) for images, row in zip(flat, rows)]
    if shared and limits is None:
        scales = [_scale([image for images in flat for image in images], rows[0].signed)] * len(rows)
    drawn = [[_coloured(i, scale, row.signed) for i in images] for images, scale, row in zip(flat, scales, rows)]
    return _mosaic(rows, drawn, title)


def _mosaic(rows: Sequence[Row], images: list[list[np.ndarray]], title: tuple[str, str]) -> Figure:
    """All images on one canvas, whose pixels are the images' own."""
    (height, width), count = images[0][0].shape[:2], max(map(len, images))
    captioned = any(row.captions for row in rows)
    gap = max(1, round(width / 14))
    line = round(0.13 * count * (width + gap) / (WIDTH - 1))  # pixels that a line of text takes
    above = max(gap, line) if captioned else gap
    canvas = np.ones((len(rows) * (height + above), count * (width + gap) - gap, 3))
    for i, drawn in enumerate(images):
        for j, image in enumerate(drawn):
            top, left = i * (height + above) + above, j * (width + gap)
            canvas[top : top + height, left : left + width] = image
    figure = Figure(figsize=(WIDTH, 1), layout="constrained")
    tall = min((WIDTH - 1) * canvas.shape[0] / canvas.shape[1], TALLEST)
    figure.set_size_inches(WIDTH, tall + entitle(figure, *title))
    axes = figure.subplots()
    axes.imshow(canvas, interpolation="nearest")
    at = [i * (height + above) + above + (height - 1) / 2 for i in range(len(rows))]
    axes.set_yticks(at, [row.label for row in rows])
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=TEXT)
    axes.spines[:].set_visible(False)
    for i, row in enumerate(rows):
        for j, text in enumerate(row.captions):
            place = j * (width + gap) + (width - 1) / 2, i * (height + above) + above - 0.7
            axes.text(*place, text, fontsize=TEXT - 1, ha="center", va="bottom")
    return figure


def _flat(array: np.ndarray, signed: bool) -> np.ndarray:
    """[H, W], or [H, W, 3] of colours, of an array [*space, C]."""
    if array.ndim > 3:
        array = array[tuple(side // 2 for side in array.shape[: array.ndim - 3])]
    return array if array.shape[-1] == 3 and not signed else array.mean(axis=-1)


def _scale(images: Sequence[np.ndarray], signed: bool) -> tuple[float, float]:
    numbers = np.concatenate([image[np.isfinite(image)] for image in images])
    if not numbers.size:
        return 0.0, 1.0
    largest = float(np.abs(numbers).max())
    return (-largest, largest) if signed else (float(numbers.min()), float(numbers.max()))


def _coloured(image: np.ndarray, scale: tuple[float, float], signed: bool) -> np.ndarray:
    """An image [H, W, 3] from 0 to 1; what is not finite is yellow."""
    low, high = scale
    share = np.clip((np.nan_to_num(image, nan=low) - low) / (high - low if high > low else 1.0), 0, 1)
    if high == low:
        share = np.full_like(share, 0.5)
    out = share if share.ndim == 3 else np.asarray(matplotlib.colormaps[SIGNED if signed else "gray"](share))[..., :3]
    lost = ~np.isfinite(image) if image.ndim == 2 else ~np.isfinite(image).all(axis=-1)
    return np.where(lost[..., None], np.array([1.0, 0.9, 0.2]), out)


def _lines(rows: Sequence[Row], title: tuple[str, str], shared: bool) -> Figure:
    """Series [T, C] as lines over their steps, vectors [F] as bars."""
    count = max(len(row.arrays) for row in rows)
    figure = Figure(figsize=(WIDTH, 1), layout="constrained")
    figure.set_size_inches(WIDTH, 0.3 + 0.95 * len(rows) + entitle(figure, *title))
    grid = figure.subplots(len(rows), count, sharex=True, sharey="all" if shared else "row", squeeze=False)
    for row, places in zip(rows, grid):
        places[0].set_ylabel(row.label, fontsize=TEXT)
        for j, axes in enumerate(places):
            axes.tick_params(labelsize=TEXT - 1, length=2)
            axes.spines[["top", "right"]].set_visible(False)
            if j < len(row.arrays):
                _line(axes, row.arrays[j])
            else:
                axes.set_visible(False)
            if j < len(row.captions):
                axes.set_title(row.captions[j], fontsize=TEXT - 1, pad=2)
    figure.supxlabel("step" if rows[0].arrays[0].ndim == 2 else "feature", fontsize=TEXT)
    return figure


def _line(axes: Axes, array: np.ndarray) -> None:
    axes.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    if array.ndim == 2:
        axes.plot(array, linewidth=0.9)
    else:
        axes.bar(np.arange(array.size), array.reshape(-1), color=BLUE)
