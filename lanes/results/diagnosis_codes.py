"""The diagnoses `reconstructions`, `traversals` and `latent_map` as tables: autoencoders, and other nets with codes.

An array is a list of its numbers, the last axis fastest, beside a list with its shape.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from lanes.analysis import latent
from lanes.data.raw_inputs import in_raw_units
from lanes.errors import RequestError
from lanes.program.natural import predicted
from lanes.program.step import build_net
from lanes.recipe.tasks_reconstructing import Reconstruct
from lanes.results.diagnosis_inputs import label_of, listed, numbers
from lanes.results.subjects import Subject
from nets.abilities import Generates

EXAMPLES = 8  # whose reconstructions are in the table
DIMENSIONS = 8  # of a code, along which is traversed
STEPS = 9  # values of a number of a code
SIDE = 12  # of the grid over a code of two numbers
PRIOR = 2.5  # standard deviations of a prior N(0, 1)


# ---- reconstructions ---------------------------------------------------------------------------------------------


def reconstructions(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each of the first eight examples: what the net saw of it (`seen`, with the task's corruption), what it made of
    it, and the root mean squared error; in raw units.

    Raises RequestError for a run whose task does not reconstruct its inputs.
    """
    rows = []
    for subject in subjects:
        if not isinstance(subject.run.task, Reconstruct):
            task = type(subject.run.task).__name__
            raise RequestError(f"reconstructions of run {subject.run_id}: task {task} does not reconstruct its inputs")
        x, y = subject.inputs, subject.targets
        view = subject.run.task.view(x, y, jax.random.fold_in(jax.random.key(0), 0))

        def reconstructed(seen: jax.Array, subject: Subject = subject) -> jax.Array:
            prediction = predicted(subject.run, subject.forward(subject.params, seen).prediction)
            return prediction.reshape(seen.shape)

        made = latent.in_batches(reconstructed, view.inputs)
        raw, seen, back = (in_raw_units(part, subject.data) for part in (x, view.inputs, made))
        errors = latent.reconstruction_errors(raw, back)
        for at in range(min(EXAMPLES, len(raw))):
            row = {"run_id": subject.run_id, "example": int(subject.rows[at]), "target": label_of(subject, at)}
            row |= {"error": float(errors[at]), "mean_error": float(errors.mean())}
            rows.append(row | {**listed(raw[at]), "seen": numbers(seen[at]), "reconstruction": numbers(back[at])})
    return {"reconstructions": pd.DataFrame(rows)}


# ---- codes -------------------------------------------------------------------------------------------------------


def latent_map(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """A row for each example: its code (of a VAE the mean μ), and its place on the map: the code itself if it has one or two
    numbers, otherwise its first two principal components, with the shares of the codes' variance that they have.

    Raises RequestError for a net without a code.
    """
    tables = []
    for subject in subjects:
        codes = _codes(subject, "latent_map")
        try:
            found = latent.latent_map(codes)
        except ValueError as error:
            raise RequestError(f"latent_map of run {subject.run_id}: {error}") from None
        columns: dict[str, Any] = {"run_id": subject.run_id, "example": subject.rows, "code": codes.tolist()}
        columns["target"] = [label_of(subject, at) for at in range(len(codes))]
        for at, name in enumerate(("first", "second")[: found.coordinates.shape[1]]):
            columns |= {name: found.coordinates[:, at], f"{name}_share": float(found.shares[at])}
        tables.append(pd.DataFrame({**columns, "projected": found.projected}))
    return {"latent_map": pd.concat(tables, ignore_index=True)}


def traversals(subjects: Sequence[Subject]) -> dict[str, pd.DataFrame]:
    """What is decoded as one number of a code after another runs through values, in raw units: a row for each.

    The numbers are those that vary most over the examples, at most eight; the others keep those of the example whose code is
    nearest to the mean. The values are the examples' from the 1st to the 99th percentile, and ±2.5 for a prior N(0, 1). With a
    code of two numbers, `latent_plane` has what is decoded on a grid of both.

    Raises RequestError for a net without a decoder.
    """
    rows, planes = [], []
    for subject in subjects:
        coder = _coder(subject)
        order = np.argsort(-coder.codes.std(axis=0), kind="stable")[:DIMENSIONS].tolist()
        distances = np.sum((coder.codes - coder.codes.mean(axis=0)) ** 2, axis=1)
        base = coder.codes[int(np.argmin(distances))]
        values = np.linspace(coder.ends[0], coder.ends[1], STEPS).T[order]
        made = in_raw_units(latent.traversals(coder.decode, base, order, values), subject.data)
        for row, dimension in enumerate(order):
            for column in range(STEPS):
                at = {"run_id": subject.run_id, "dimension": dimension, "value": float(values[row, column])}
                rows.append(at | listed(made[row, column]))
        if coder.codes.shape[1] == 2:
            first, second = np.linspace(coder.ends[0], coder.ends[1], SIDE).T
            grid = in_raw_units(latent.decoded_plane(coder.decode, first, second), subject.data)
            for i, j in np.ndindex(SIDE, SIDE):
                at = {"run_id": subject.run_id, "first": float(first[j]), "second": float(second[i])}
                planes.append(at | listed(grid[i, j]))
    return {"traversals": pd.DataFrame(rows), **({"latent_plane": pd.DataFrame(planes)} if planes else {})}


class _Coder(NamedTuple):
    """Codes [N, M] of examples, the lowest and the highest values [2, M] to decode, and the decoder [B, M] -> [B, …]."""

    codes: np.ndarray
    ends: np.ndarray
    decode: Callable[[jax.Array], jax.Array]


def _coder(subject: Subject) -> _Coder:
    """Raises RequestError for a net without a decoder."""
    net, shape = build_net(subject.setup, subject.run), tuple(subject.inputs.shape[1:])
    method = "generate" if isinstance(net, Generates) else "decode"
    if subject.data.holds_tokens or not _decodes(getattr(net, method, None)):
        raise RequestError(
            f"traversals of run {subject.run_id}: net {type(net).__name__} has no decoder: a method decode(code, shape, *, "
            "train=False) -> [B, *shape], as Autoencoder and VAE have it"
        )

    def decode(codes: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(subject.run.matmul_precision):
            out = net.apply(subject.variables, codes, shape, train=False, method=method)
            out = jnp.asarray(out, jnp.float32).reshape(codes.shape[0], *shape)
            return predicted(subject.run, out) if isinstance(subject.run.task, Reconstruct) else out

    if method == "generate":
        codes, drawn = np.zeros((1, net.latent), np.float32), True
    else:
        codes = _codes(subject, "traversals")
        drawn = subject.forward(subject.params, subject.inputs[:1]).mean is not None
    if drawn:
        return _Coder(codes, np.array([[-PRIOR], [PRIOR]]) * np.ones(codes.shape[1]), decode)
    return _Coder(codes, np.percentile(codes, [1, 99], axis=0), decode)


def _decodes(method: Any) -> bool:
    """Whether a method can be called as method(code, shape, train=False)."""
    if method is None:
        return False
    try:
        inspect.signature(method).bind(None, None, train=False)
    except TypeError:
        return False
    return True


def _codes(subject: Subject, what: str) -> np.ndarray:
    """Codes [N, M] of the examples: the means of a net that draws them.

    Raises RequestError for a net without a code.
    """
    shapes = jax.eval_shape(lambda x: subject.forward(subject.params, x), subject.inputs[:1])
    name = "latent" if shapes.mean is None else "mean"
    if getattr(shapes, name) is None or subject.run.task.players:
        raise RequestError(
            f"{what} of run {subject.run_id}: net {type(subject.run.net).__name__} has no code of its inputs: a net has one that "
            "returns nets.Outputs with latent or mean, as Autoencoder and VAE do"
        )

    def encode(x: jax.Array) -> jax.Array:
        return getattr(subject.forward(subject.params, x), name).reshape(x.shape[0], -1)

    return latent.in_batches(encode, subject.inputs)
