"""The diagnoses `gradients`, `noise`, `curvature`, `rank` and `jacobian` as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.analysis.curvature import curvature as curvature_of
from lanes.analysis.curvature import hessian_product
from lanes.analysis.gradients import (
    GradientStatistics,
    gradient_statistics,
    in_order_of_use,
    noise_scale,
    value_and_gradient_norm,
)
from lanes.analysis.spectra import JacobianSpectrum, Rank, jacobian_spectra, ranks
from lanes.errors import RequestError
from lanes.results.models import Model
from lanes.results.subjects import Programs, Subject, over_runs

Tree = Any
JACOBIAN_EXAMPLES = 4


def gradients(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run and array of parameters, in the order in which the net uses them."""
    rows: list[dict[str, Any]] = []
    orders: dict[Any, list[str]] = {}
    for subject, found in zip(subjects, over_runs(gradients_of_model, subjects), strict=True):
        if subject.setup not in orders:
            orders[subject.setup] = in_order_of_use(_forward(subject), subject.params)
        rows += rows_of(subject, found, orders[subject.setup])
    return {"gradients": pd.DataFrame(rows)}


def rows_of(
    subject: Subject, found: Mapping[str, GradientStatistics], order: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """A row per array of parameters, in an order of their paths."""
    for depth, path in enumerate(order, 1):
        layer, _, parameter = path.rpartition("/")
        at = {"run_id": subject.run_id, "depth": depth, "layer": layer, "parameter": parameter}
        yield at | {name: value.item() for name, value in found[path]._asdict().items()}


def gradients_of_model(model: Model, params: Tree, x: jax.Array, y: jax.Array) -> dict[str, GradientStatistics]:
    """The statistics of a model's parameters by path."""
    return gradient_statistics(lambda params: model.loss(params, x, y), params)


def _forward(subject: Subject) -> Any:
    view = subject.model.view(subject.inputs[:1], subject.targets[:1])
    return lambda params: subject.forward(params, view.inputs).prediction


def noise(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run: the noise scale of its gradient."""
    scale = Programs(lambda model, params, x, y: noise_scale(model.loss, params, x, y))
    return {"noise": pd.DataFrame([{"run_id": one.run_id, "noise_scale": float(scale(one))} for one in subjects])}


def curvature(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run: what training lowers (`Model.loss`), its gradient's norm, and the spectrum of its Hessian."""
    value, product = Programs(_value), Programs(_product)
    rows = []
    for subject in subjects:
        size = sum(leaf.size for leaf in jax.tree.leaves(subject.params))
        loss, gradient_norm = map(float, value(subject))

        def times(v: np.ndarray, subject: Subject = subject) -> np.ndarray:
            return np.asarray(product(subject, jnp.asarray(v, jnp.float32)), np.float64)

        found = curvature_of(times, size)
        at = {"run_id": subject.run_id, "parameters": size, "objective": loss, "gradient_norm": gradient_norm}
        rows.append(at | found._asdict())
    return {"curvature": pd.DataFrame(rows)}


def _value(model: Model, params: Tree, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    return value_and_gradient_norm(lambda params: model.loss(params, x, y), params)


def _product(model: Model, params: Tree, x: jax.Array, y: jax.Array, v: jax.Array) -> jax.Array:
    return hessian_product(lambda params: model.loss(params, x, y), params, v)


def rank(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run and layer, in the order of evaluation, the net's output last."""
    rows = []
    for subject, found in zip(subjects, over_runs(_ranks, subjects), strict=True):
        for name, of_layer in sorted(found.items(), key=lambda item: int(item[1].depth)):
            numbers = {key: value.item() for key, value in of_layer._asdict().items()}
            rows.append({"run_id": subject.run_id, "depth": numbers.pop("depth"), "layer": name} | numbers)
    return {"rank": pd.DataFrame(rows)}


def _ranks(model: Model, params: Tree, x: jax.Array, y: jax.Array) -> dict[str, Rank]:
    return ranks(model.marked, params, model.view(x, y).inputs)


def jacobian(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row per run and layer: singular values of the Jacobian by the input, over 4 examples; and a row for each of them."""
    for subject in subjects:
        if not jnp.issubdtype(subject.inputs.dtype, jnp.floating):
            raise RequestError(
                f"jacobian of run {subject.run_id}: {subject.data.name} has tokens, and only numbers have derivatives"
            )
    rows, single = [], []
    for subject, found in zip(subjects, over_runs(_spectra, subjects), strict=True):
        for name, (depth, values) in sorted(found.items(), key=lambda item: int(item[1].depth)):
            layer = {"run_id": subject.run_id, "depth": int(depth), "layer": name}
            rows.append(
                layer
                | {
                    "largest": float(values[:, 0].mean()),
                    "median": float(np.median(values)),
                    "smallest": float(values[:, -1].mean()),
                    "mean_square": float((values**2).mean()),
                }
            )
            single += [
                layer | {"example": int(subject.rows[at]), "index": index + 1, "singular_value": value}
                for at, of_example in enumerate(values.tolist())
                for index, value in enumerate(of_example)
            ]
    return {"jacobian": pd.DataFrame(rows), "jacobian_singular_values": pd.DataFrame(single)}


def _spectra(model: Model, params: Tree, x: jax.Array, y: jax.Array) -> dict[str, JacobianSpectrum]:
    few = model.view(x[:JACOBIAN_EXAMPLES], y[:JACOBIAN_EXAMPLES]).inputs
    return jacobian_spectra(model.marked, params, few)
