"""Draws training and test loss against the strength of each regularizer.

    .venv/bin/python scripts/figures/regularizers.py runs/regularizers                writes docs/regularizers.png
    .venv/bin/python scripts/figures/regularizers.py runs/regularizers --out FILE     writes FILE (.png, .svg or .pdf)

Reads a sweep of the experiment `regularizers`; also prints each regularizer's strength with the lowest validation loss.
"""

import argparse
import re
from pathlib import Path

import matplotlib
import pandas as pd

from experiments.regularizers import STRENGTHS
from lanes.results.intervals import half_width
from lanes.results.tables import load
from lanes.results.versions import of_present_versions

matplotlib.use("Agg")
from matplotlib import pyplot as plt

TEST, TRAIN, NONE = "#d1603d", "#1f5fa8", "#777777"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "regularizers.png"


def strengths(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns `regularizer` ("none" if there is none) and `strength`."""
    numbers = table[list(STRENGTHS)].copy()
    numbers["augment"] = [float(found.group(1)) if (found := _AMOUNT.search(str(a))) else 0.0 for a in table["augment"]]
    numbers = numbers.astype(float).fillna(0.0)
    on = (numbers != 0).any(axis=1)
    names = numbers.ne(0).idxmax(axis=1).where(on, "none")
    return table.assign(regularizer=names, strength=numbers.max(axis=1))


_AMOUNT = re.compile(r"amount=([\d.]+)")


def draw(table: pd.DataFrame, out: Path) -> None:
    """Writes the picture and prints a table of the best strengths, each with the 95% t interval over seeds."""
    names = ["train_loss", "valid_loss", "test_loss", "test_accuracy"]
    groups = table.groupby(["regularizer", "strength"])
    mean = groups[names].mean()
    spread = groups[names].std().apply(lambda deviation: half_width(deviation.to_numpy(), groups.size().to_numpy()))
    none = mean.loc[("none", 0.0)]
    figure, axes = plt.subplots(2, 4, figsize=(11, 5), sharey=True, layout="constrained")
    for cell, name in zip(axes.flat, STRENGTHS, strict=True):
        part, error = mean.loc[name], spread.loc[name]
        positions = range(len(part))
        for metric, color in (("test_loss", TEST), ("train_loss", TRAIN)):
            cell.errorbar(positions, part[metric], error[metric], color=color, marker="o", markersize=3, capsize=2)
            cell.axhline(none[metric], color=NONE, linestyle=":" if metric == "train_loss" else "--", linewidth=1)
        cell.set_xticks(positions, [f"{value:g}" for value in part.index])
        cell.set(title="augment (translate)" if name == "augment" else name, ylim=(-0.02, 0.8))
        cell.spines[["top", "right"]].set_visible(False)
    for cell in axes[:, 0]:
        cell.set_ylabel("cross-entropy")
    figure.suptitle(
        "200 training examples: test (red) and training loss (blue) by strength; grey: without a regularizer",
        fontsize=11,
    )
    figure.savefig(out, dpi=110)
    print(f"{'regularizer':16}{'strength':>9}{'train':>8}{'test loss':>16}{'gap':>8}{'test accuracy':>18}{'n':>4}")
    for name in ["none", *STRENGTHS]:
        best = (name, mean.loc[name]["valid_loss"].idxmin())
        row, error, count = mean.loc[best], spread.loc[best], groups.size()[best]
        loss, accuracy = (f"{row[metric]:.3f} ± {error[metric]:.3f}" for metric in ("test_loss", "test_accuracy"))
        gap = row["test_loss"] - row["train_loss"]
        print(f"{name:16}{best[1]:>9g}{row['train_loss']:>8.3f}{loss:>16}{gap:>8.3f}{accuracy:>18}{count:>4}")


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description="Draw losses by regularizer and strength.")
    parser.add_argument("directory", type=Path, help="the sweep's --out")
    parser.add_argument("--out", type=Path, default=PAGE)
    arguments = parser.parse_args()
    draw(strengths(of_present_versions(load(arguments.directory))[0]), arguments.out)


if __name__ == "__main__":
    main()
