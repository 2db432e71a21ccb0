"""Draws the generated data sets for the documentation.

.venv/bin/python scripts/figures/data_generated.py                writes docs/data_generated.png
.venv/bin/python scripts/figures/data_generated.py --out FILE     writes FILE (.png, .svg or .pdf)
"""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import tyro
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from lanes.data.generated_sets import Generated
from lanes.data.loading import DATASETS, Dataset, load_dataset

COLOURS = ListedColormap(["#2b6cb0", "#dd6b20", "#2f855a", "#805ad5"])
PAGE = Path(__file__).resolve().parents[2] / "docs" / "data_generated.png"
NAMES = [name for name, description in DATASETS.items() if isinstance(description, Generated)]


def draw(axes: Axes, name: str) -> None:
    """One set in one panel."""
    data = load_dataset(name)
    x, y = data.train.x, data.train.y
    axes.set_title(f"{name} (n = {DATASETS[name].n})", fontsize=10)  # type: ignore[attr-defined]
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    if x.ndim == 4:
        draw_images(axes, data)
    elif data.task == "classes" and x.shape[1] == 2:
        axes.scatter(x[:, 0], x[:, 1], c=y, s=5, cmap=COLOURS, vmin=0, vmax=COLOURS.N - 1)
        axes.set_aspect("equal", adjustable="datalim")
    elif data.task == "classes":
        draw_strings(axes, data)
    elif data.task == "tokens":
        draw_tokens(axes, data)
    elif x.ndim == 2:
        axes.scatter(x, y, s=5, color=COLOURS(0))
        axes.set_xlabel("x", fontsize=8)
        axes.set_ylabel("y", fontsize=8)
    else:
        draw_marked(axes, data)


def draw_strings(axes: Axes, data: Dataset) -> None:
    """Parity: strings as rows, sorted by class, with the class beside them."""
    rows = np.argsort(data.train.y[:24], kind="stable")
    axes.imshow(data.train.x[rows], cmap="gray", aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(rows)), [f"{label}" for label in data.train.y[rows]], fontsize=5)
    axes.set_xlabel("input (white: +1)", fontsize=8)
    axes.set_ylabel("class", fontsize=8)


def draw_images(axes: Axes, data: Dataset) -> None:
    """Images: a row for each class, with its number beside it."""
    rows = [np.concatenate(list(data.train.x[data.train.y == label][:9, ..., 0]), 1) for label in range(data.outputs)]
    axes.imshow(np.concatenate(rows), cmap="gray", interpolation="nearest")
    side = data.train.x.shape[1]
    axes.set_yticks(
        side * np.arange(data.outputs) + side / 2, [f"{label}" for label in range(data.outputs)], fontsize=7
    )
    axes.set_xticks([])
    axes.set_ylabel("class", fontsize=8)


def draw_tokens(axes: Axes, data: Dataset) -> None:
    """Copy: inputs above their targets."""
    rows = np.stack([row for pair in zip(data.train.x[:4], data.train.y[:4]) for row in pair])
    axes.imshow(rows, cmap="viridis", aspect="auto", interpolation="nearest")
    axes.set_yticks(range(8), ["x", "y"] * 4, fontsize=7)
    axes.set_xlabel("step (colour: symbol; x, target y)", fontsize=8)


def draw_marked(axes: Axes, data: Dataset) -> None:
    """Adding: one sequence, its marked steps, and their sum."""
    values, marks = data.train.x[0].T
    steps = np.arange(len(values))
    axes.bar(steps, values, color=["#dd6b20" if mark else "#a0bfe0" for mark in marks])
    axes.set_xlabel(f"step (marked: orange; target {data.train.y[0, 0]:.2f})", fontsize=8)


def main(out: Path = PAGE) -> None:
    """Draws all generated sets into one picture."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(-(-len(NAMES) // 5), 5, figsize=(15, 9), layout="constrained")
    for axes, name in itertools.zip_longest(panels.ravel(), NAMES):
        if name is None:
            axes.set_axis_off()
        else:
            draw(axes, name)
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    tyro.cli(main)
