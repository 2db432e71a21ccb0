"""The diagnosis `activations` as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

from lanes.analysis.activations import BINS, ActivationStatistics, activation_statistics, statistics
from lanes.analysis.layers import Layer
from lanes.results.models import Model
from lanes.results.subjects import Subject, over_runs
from nets import NETS

Tree = Any
OURS = {type(net) for net in NETS.values()}


def activations(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run and layer, in the order of evaluation, the net's output last; and a row per bin of each histogram."""
    rows: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for subject, found in zip(subjects, over_runs(of_model, subjects), strict=True):
        for row in rows_of(subject, found):
            rows.append(row)
            layer = {name: row[name] for name in ("run_id", "depth", "layer")}
            edges = np.linspace(row["smallest"], row["largest"], BINS + 1)
            counts = found[row["layer"]].counts
            shares = counts / max(1, counts.sum())
            ends = zip(edges[:-1].tolist(), edges[1:].tolist(), shares.tolist(), strict=True)
            bins += [layer | {"low": low, "high": high, "share": share} for low, high, share in ends]
    return {"activations": pd.DataFrame(rows), "activation_histograms": pd.DataFrame(bins)}


def rows_of(subject: Subject, found: Mapping[str, ActivationStatistics]) -> Iterator[dict[str, Any]]:
    """A row per layer, in the order of evaluation."""
    for name, of_layer in sorted(found.items(), key=lambda item: int(item[1].depth)):
        numbers = {key: value.item() for key, value in of_layer._asdict().items() if key not in ("counts", "depth")}
        yield {"run_id": subject.run_id, "depth": int(of_layer.depth), "layer": name} | numbers


def of_model(model: Model, params: Tree, x: jax.Array, y: jax.Array) -> dict[str, ActivationStatistics]:
    """The statistics of a model's layers by name; of our nets that take no activation, as RBF, those of what they sow."""
    seen = model.view(x, y).inputs
    if not model.takes_activation and type(model.run.net) in OURS and (sown := model.sown(params, seen)):
        output = model.forward(params, seen).prediction
        found = {**{f"hidden_{at}": h for at, h in enumerate(sown)}, "output": output}
        return {name: statistics(Layer(h, None, None), depth) for depth, (name, h) in enumerate(found.items(), 1)}
    return activation_statistics(model.marked, params, seen)
