"""Pictures of nets in the form of their inputs: filters, maximized inputs, saliency, reconstructions, traversals."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lanes.reporting.diagnosis_panels import Row, arrays, in_rows, panels, per_run
from lanes.reporting.run_labels import labels
from lanes.results.diagnosis import Tables

IMAGES, CURVES = 48, 18  # filters drawn of a run, of images and of series


def filters(tables: Tables) -> dict[str, Figure]:
    """The filters of the largest norms, on one scale symmetric about 0; of colour images in colours, with 0 as grey."""
    table = tables["filters"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        found = arrays(own)
        shown = found[: IMAGES if found[0].ndim > 2 else CURVES]
        of = f"the {len(shown)} largest of {len(found)}" if len(found) > len(shown) else f"all {len(found)}"
        sentence = f"First-layer filters, {of}, by falling norm"
        count = 12 if len(shown) > 16 else 8 if shown[0].ndim > 2 else 6
        if shown[0].ndim == 3 and shown[0].shape[-1] == 3:
            largest = max(float(np.abs(array).max()) for array in shown) or 1.0
            return panels(in_rows(shown, count), (f"{sentence} (grey is 0)", label), limits=(-largest, largest))
        colours = " (red above 0, blue below)" if shown[0].ndim > 2 else ""
        return panels(in_rows(shown, count, signed=True), (f"{sentence}{colours}", label), shared=True)

    return per_run(table, "filters", labels(table), draw)


def maximized_inputs(tables: Tables) -> dict[str, Figure]:
    """The input that maximizes each output, with the value there and the largest among the examples."""
    table = tables["maximized_inputs"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        values = own[["value", "highest_of_examples"]].to_numpy()
        captions = [f"{name}: {value:.3g} ({best:.3g})" for name, (value, best) in zip(own["name"], values)]
        title = ("Inputs that maximize each output: its value there (largest of the examples)", label)
        return panels(in_rows(arrays(own), 5, captions), title, shared=True)

    return per_run(table, "maximized_inputs", labels(table), draw)


def saliency(tables: Tables) -> dict[str, Figure]:
    """Examples above the gradient and the integrated gradient of their predicted output."""
    table = tables["saliency"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        captions = [f"{name} ({target})" for name, target in zip(own["name"], own["target"])]
        rows = [
            Row(arrays(own), "input", captions),
            Row(arrays(own, "gradient"), "gradient", signed=True),
            Row(arrays(own, "integrated_gradient"), "integrated\ngradient", signed=True),
        ]
        colours = ": red raises it, blue lowers it" if arrays(own)[0].ndim > 2 else ""
        return panels(rows, (f"Saliency of the predicted output (the target in parentheses){colours}", label))

    return per_run(table, "saliency", labels(table), draw)


def reconstructions(tables: Tables) -> dict[str, Figure]:
    """Examples above what the net made of them and, if that differs, what it saw of them."""
    table = tables["reconstructions"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        raw, seen = arrays(own), arrays(own, "seen")
        errors = [f"{error:.3g}" for error in own["error"]]
        rows = [
            Row(raw, "input"),
            Row(seen, "corrupted"),
            Row(arrays(own, "reconstruction"), "recon-\nstruction", errors),
        ]
        if all(np.allclose(a, b, equal_nan=True) for a, b in zip(raw, seen)):
            del rows[1]
        mean = f"{own['mean_error'].iloc[0]:.3g}"
        title = (f"Reconstructions and their root mean squared errors (over all examples: {mean})", label)
        return panels(rows, title, shared=True)

    return per_run(table, "reconstructions", labels(table), draw)


def traversals(tables: Tables) -> dict[str, Figure]:
    """What is decoded as each number of the code runs through its values; and over the plane of a code of two."""
    table = tables["traversals"]

    def draw(own: pd.DataFrame, label: str) -> Figure:
        rows = []
        for dimension, part in own.groupby("dimension", sort=False):
            first, last = part["value"].iloc[0], part["value"].iloc[-1]
            rows.append(Row(arrays(part), f"z{dimension}\n{first:.2g} … {last:.2g}"))
        title = ("Latent traversals: what is decoded as one number of the code runs through its range", label)
        return panels(rows, title, shared=True)

    found = per_run(table, "traversals", labels(table), draw)
    if "latent_plane" in tables:
        plane = tables["latent_plane"]
        found |= per_run(plane, "latent_plane", labels(plane), _plane)
    return found


def _plane(own: pd.DataFrame, label: str) -> Figure:
    rows: list[Row] = []
    for second, part in list(own.groupby("second", sort=True))[::-1]:
        captions = [f"{first:.2g}" for first in sorted(part["first"])] if not rows else []
        rows.append(Row(arrays(part.sort_values("first")), f"{second:.2g}", captions))
    title = ("What is decoded over the plane of the code: z0 from left to right, z1 from below", label)
    return panels(rows, title, shared=True)
