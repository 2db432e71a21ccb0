"""Pictures of what runs do through depth: lines against layers, histograms, bars of eigenvalues."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lanes.reporting.run_labels import labels, text
from lanes.results.diagnosis import Tables

MOST_RUNS = 8  # drawn in one picture
MOST_HISTOGRAMS = (4, 12)  # runs, layers
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")  # Okabe and Ito 2008


def through_depth(table: pd.DataFrame, columns: dict[str, str], logarithmic: Sequence[str] = ()) -> Figure:
    """Columns of a table against depth, a panel each, a line per run; `columns` holds the panels' titles."""
    figure = Figure(figsize=(3.4 * len(columns), 3), layout="constrained")
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    names = list(labels(table).items())[:MOST_RUNS]
    for axes, (column, title) in zip(panels, columns.items(), strict=True):
        for color, (run_id, name) in zip(COLORS, names):
            own = table[table["run_id"] == run_id].groupby("depth", as_index=False)[column].mean()
            axes.plot(own["depth"], own[column], "o-", color=color, markersize=3, linewidth=1, label=name)
        axes.set_xlabel("depth")
        axes.set_title(title, fontsize=9)
        if column in logarithmic and (table[column] > 0).any():
            axes.set_yscale("log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    if len(names) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", fontsize=7, ncols=2)
    return figure


def activations(tables: Tables) -> dict[str, Figure]:
    """Standard deviation, saturated and dead share of each layer; and histograms."""
    titles = {"std": "standard deviation", "saturated": "saturated share", "dead": "dead units"}
    hidden = tables["activations"].query("layer != 'output'")
    hidden = tables["activations"] if hidden.empty else hidden
    return {
        "activations": through_depth(hidden, titles, ["std"]),
        "activation_histograms": _histograms(tables["activation_histograms"]),
    }


def _histograms(table: pd.DataFrame) -> Figure:
    """Histograms of layers (columns) of the first runs (rows)."""
    names = list(labels(table).items())[: MOST_HISTOGRAMS[0]]
    most = max(table[table["run_id"] == run_id]["depth"].nunique() for run_id, _ in names)
    columns = min(most, MOST_HISTOGRAMS[1])
    figure = Figure(figsize=(1 + 1.3 * columns, 0.5 + 1.2 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), columns, squeeze=False)
    for row, (run_id, name) in zip(grid, names, strict=True):
        layers = list(table[table["run_id"] == run_id].groupby("depth"))
        chosen = np.unique(np.linspace(0, len(layers) - 1, min(columns, len(layers))).round().astype(int))
        for axes in row:
            axes.set_yticks([])
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(labelsize=6)
        for axes, at in zip(row, chosen):
            own = layers[at][1]
            axes.bar(own["low"], own["share"], own["high"] - own["low"], align="edge", color=COLORS[0])
            axes.set_title(text(own["layer"].iloc[0]), fontsize=6)
        for axes in row[len(chosen) :]:
            axes.set_visible(False)
        row[0].set_ylabel(name, fontsize=6)
    return figure


def gradients(tables: Tables) -> dict[str, Figure]:
    """Norms of weights and gradients against depth, of the arrays with two axes or more if there are any."""
    table = tables["gradients"]
    kernels = table[table["axes"] >= 2]
    kernels = kernels.assign(depth=kernels.groupby("run_id")["depth"].rank(method="dense"))
    titles = {
        "weight_norm": "norm of the weights",
        "gradient_norm": "norm of the gradient",
        "relative_gradient": "ratio",
    }
    return {"gradients": through_depth(table if kernels.empty else kernels, titles, list(titles))}


def curvature(tables: Tables) -> dict[str, Figure]:
    """Largest and smallest eigenvalue, and the share of negative ones, a bar per run."""
    table = tables["curvature"]
    names = list(labels(table).items())[:MOST_RUNS]
    own = table.set_index("run_id").loc[[run_id for run_id, _ in names]]
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    at = np.arange(len(names))
    left.barh(at, own["largest"], color=COLORS[0], label="largest")
    left.barh(at, own["smallest"], color=COLORS[1], label="smallest")
    left.set_xscale("symlog", linthresh=max(1e-6, float(own[["largest", "smallest"]].abs().min().min())))
    left.set_title("eigenvalues of the Hessian", fontsize=9)
    left.legend(fontsize=7)
    right.barh(at, own["negative"], xerr=2 * own["error"], color=COLORS[1])
    right.set_title("share of negative ones", fontsize=9)
    left.set_yticks(at, [name for _, name in names], fontsize=7)
    left.invert_yaxis()
    return {"curvature": figure}


def rank(tables: Tables) -> dict[str, Figure]:
    """Effective rank of each layer, and its share of the layer's units."""
    table = tables["rank"].assign(of_units=tables["rank"]["effective_rank"] / tables["rank"]["units"])
    return {"rank": through_depth(table, {"effective_rank": "effective rank", "of_units": "effective rank / units"})}


def jacobian(tables: Tables) -> dict[str, Figure]:
    """Singular values of the input-output Jacobian against depth."""
    titles = {"largest": "largest", "median": "median", "smallest": "smallest singular value"}
    return {"jacobian": through_depth(tables["jacobian"], titles, list(titles))}
