"""Pictures of losses over parameters, of codes, and of classes over the plane."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.figure import Figure

from lanes.reporting.diagnosis_panels import entitle, per_run
from lanes.reporting.run_labels import labels
from lanes.results.diagnosis import Tables

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")  # Okabe and Ito 2008
MOST_CLASSES = 20  # with colours of their own
LEVELS = 16


def interpolation(tables: Tables) -> dict[str, Figure]:
    """The loss along the line from the first run to each other one."""
    table, barriers = tables["interpolation"], tables["interpolation_barriers"].set_index("run_id")["barrier"]
    names = labels(tables["interpolation_barriers"])
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for color, (run_id, own) in zip(COLORS, table.groupby("run_id", sort=False)):
        text = f"to {names[run_id]}: barrier {barriers[run_id]:.3g}"
        axes.plot(own["position"], own["evaluated_loss"], color=color, linewidth=1.4, label=text)
    for end in (0, 1):
        axes.axvline(end, color="0.8", linewidth=0.8, zorder=0)
    if _is_wide(table["evaluated_loss"]):
        axes.set_yscale("log")
    axes.set(xlabel="position t in (1 - t) θ₀ + t θ₁", ylabel="loss")
    entitle(
        figure, "Loss along straight lines between runs, from 0 to 1", f"from {names[table['start_run_id'].iloc[0]]}"
    )
    figure.legend(loc="outside lower center", fontsize=7)
    return {"interpolation": figure}


def _is_wide(losses: pd.Series) -> bool:
    """Whether losses need a logarithmic scale: positive, over more than two orders of magnitude."""
    finite = losses[np.isfinite(losses)]
    return bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > 100)


def landscape(tables: Tables) -> dict[str, Figure]:
    """The loss over the plane of two filter-normalized directions, with the run at its centre."""
    table = tables["landscape"]
    return per_run(table, "landscape", labels(table), _landscape)


def _landscape(own: pd.DataFrame, label: str) -> Figure:
    grid = own.pivot(index="second", columns="first", values="evaluated_loss")
    losses = np.ma.masked_invalid(grid.to_numpy(float))
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.subplots()
    low, high = (float(losses.min()), float(losses.max())) if losses.count() else (0.0, 1.0)
    if high > low:
        wide = low > 0 and high / low > 20
        levels = np.geomspace(low, high, LEVELS) if wide else np.linspace(low, high, LEVELS)
        norm = LogNorm(low, high) if wide else Normalize(low, high)
        filled = axes.contourf(grid.columns, grid.index, losses, levels=levels, norm=norm, cmap="viridis")
        axes.contour(grid.columns, grid.index, losses, levels=levels, colors="white", linewidths=0.4)
        bar = figure.colorbar(filled, ax=axes, label="loss", format="%.3g")
        bar.ax.tick_params(labelsize=7)
    else:
        axes.text(
            0.5, 0.5, "no finite loss" if not losses.count() else f"{low:.3g}", transform=axes.transAxes, ha="center"
        )
    axes.plot(0, 0, "+", color="#d55e00", markersize=9, markeredgewidth=1.6)
    axes.set(xlabel="along a random direction, in norms of its filters", ylabel="along another", aspect="equal")
    entitle(figure, "Loss around the run (+), in filter-normalized directions", label)
    return figure


def latent_map(tables: Tables) -> dict[str, Figure]:
    """Each example at its code, or at its first two principal components, coloured by its target."""
    table = tables["latent_map"]
    return per_run(table, "latent_map", labels(table), _latent_map)


def _latent_map(own: pd.DataFrame, label: str) -> Figure:
    figure = Figure(figsize=(5.4, 4.4), layout="constrained")
    axes = figure.subplots()
    name = "PC" if own["projected"].iloc[0] else "z"
    first = 1 if name == "PC" else 0
    targets = own["target"].astype(str)
    classes = sorted(targets.unique(), key=lambda text: (len(text), text))
    has_second = "second" in own and own["second"].notna().all()
    if len(classes) <= MOST_CLASSES:
        colours = _colours(len(classes))
        for at, value in enumerate(classes):
            part = own[targets == value]
            height = part["second"] if has_second else np.full(len(part), at)
            axes.scatter(part["first"], height, s=9, color=[colours[at]], label=value, linewidths=0)
        figure.legend(loc="outside right upper", fontsize=7, title="target", title_fontsize=7, markerscale=2)
    else:
        heights = own["second"] if has_second else pd.to_numeric(targets, errors="coerce")
        axes.scatter(own["first"], heights, s=9, color=COLORS[0], linewidths=0)
    shares = [f", {own[f'{n}_share'].iloc[0]:.0%} of the variance" if name == "PC" else "" for n in ("first", "second")]
    axes.set(xlabel=f"{name}{first}{shares[0]}", ylabel=f"{name}{first + 1}{shares[1]}" if has_second else "target")
    what = "first two principal components of the codes" if name == "PC" else "codes"
    entitle(figure, f"Latent map: {what} of {len(own)} examples", label)
    return figure


def _colours(count: int) -> list[np.ndarray]:
    """Distinct colours [3]: those for colour-blind readers, then lighter ones, then any."""
    base = [np.array(to_rgb(color)) for color in (*COLORS[:7], "#332288", "#882255", "#44aa99")]
    lighter = [0.5 + 0.5 * color for color in base]
    return [*base, *lighter, *np.random.default_rng(0).random((max(0, count - MOST_CLASSES), 3))][:count]


def decision_regions(tables: Tables) -> dict[str, Figure]:
    """The class decided for over the plane, paler where it is less probable, with the examples."""
    table, examples = tables["decision_regions"], tables["decision_region_examples"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        return _regions(own, examples[examples["run_id"] == own["run_id"].iloc[0]], label)

    return per_run(table, "decision_regions", labels(table), draw)


def _regions(own: pd.DataFrame, examples: pd.DataFrame, label: str) -> Figure:
    decided = own.pivot(index="y", columns="x", values="class")
    probability = own.pivot(index="y", columns="x", values="probability").to_numpy(float)
    count = max(int(own["class"].max()), int(examples["target"].max())) + 1
    colours = np.stack(_colours(count))
    depth = np.nan_to_num((probability - 1 / count) / (1 - 1 / count), nan=1.0)[..., None] * 0.45 + 0.15
    image = 1 - depth * (1 - colours[decided.to_numpy(int)])
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    ends = (decided.columns[0], decided.columns[-1], decided.index[0], decided.index[-1])
    axes.imshow(image, extent=ends, origin="lower", aspect="auto", interpolation="nearest")
    if decided.to_numpy().min() != decided.to_numpy().max():
        levels = np.arange(count - 1) + 0.5
        axes.contour(decided.columns, decided.index, decided.to_numpy(), levels=levels, colors="0.2", linewidths=0.6)
    names = examples.drop_duplicates("target").set_index("target")["name"]
    for target in sorted(names.index):
        part = examples[examples["target"] == target]
        right = part["predicted"] == part["target"]
        axes.scatter(part["x"], part["y"], s=9, color=[colours[target]], linewidths=0, label=str(names[target]))
        axes.scatter(part["x"][~right], part["y"][~right], s=16, facecolor="none", edgecolor="black", linewidths=0.8)
    axes.set(xlabel="x0", ylabel="x1")
    figure.legend(loc="outside right upper", fontsize=7, title="class", title_fontsize=7, markerscale=2)
    wrong = int((examples["predicted"] != examples["target"]).sum())
    paler = ", paler where less probable" if np.isfinite(probability).any() else ""
    entitle(figure, f"Decision regions{paler}; circled: {wrong} of {len(examples)} examples on the wrong side", label)
    return figure
