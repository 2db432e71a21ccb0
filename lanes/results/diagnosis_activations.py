"""The diagnosis `activations` as tables."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lanes.analysis.activations import histogram, statistics
from lanes.program.step import apply, stream
from lanes.results.subjects import Subject


def activations(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run and layer, in the order of evaluation; and the layers' histograms, a row per bin."""
    rows: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for subject in subjects:
        for at, h in enumerate(_hidden(subject)):
            layer = {"run_id": subject.run_id, "depth": at + 1, "layer": f"hidden_{at}"}
            rows.append(layer | statistics(h)._asdict())
            edges, shares = histogram(h)
            bins += [layer | {"low": a, "high": b, "share": s} for a, b, s in zip(edges[:-1], edges[1:], shares)]
    return {"activations": pd.DataFrame(rows), "activation_histograms": pd.DataFrame(bins)}


def _hidden(subject: Subject) -> list[Any]:
    rest = {name: part for name, part in subject.variables.items() if name != "params"}
    keys = {"sample": stream(subject.run.seed, "sample")}
    return apply(
        subject.setup, subject.run, subject.params, rest, subject.inputs, train=False, keys=keys, capture=True
    )[2]
