"""Predictions of trained lanes on a whole split, their mean over dropout masks, and the metrics of both."""

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from lanes.describe.runs import Run
from lanes.program.judging import Split, decides, decisions, judge, set_metric
from lanes.program.metrics import BLOCK_NUMBERS
from lanes.program.mixtures import Mixture, Parts
from lanes.program.natural import predicted
from lanes.program.over_lanes import Numbers, per_run
from lanes.program.perturbed import Attacked, Changed, Corrupted, Perturbation, victim_of
from lanes.program.scheduled import at_full
from lanes.program.step import Setup, build_net, standardize, stream
from nets import Dropout
from nets.normalization import recomputed_statistics

Array = jax.Array
Tree = Any
ATTACKED_ROWS = 256  # most examples whose gradients an attack computes at once, in each lane


class Told(NamedTuple):
    """What a run says of each example.

    Attributes:
        predictions: probabilities, or targets in the units of the data, as `natural.predicted`.
        decisions: classes or labels decided for; None where a run decides for none.
        targets: of the examples.
    """

    predictions: Array
    decisions: Array | None
    targets: Array


def told_of(run: Run, mixture: Mixture, mean: Parts, targets: Array) -> Told:
    """What a mean prediction says of each example."""
    judged, raw = mixture.judged(at_full(run)), mixture.prediction(mean)
    return Told(predicted(judged, raw), decisions(judged, raw) if decides(run) else None, targets)


@dataclasses.dataclass(frozen=True)
class Predict:
    """The prediction program of one static signature: parts [P, N, …], metrics [P] and, if asked for, what lanes say.

    With a perturbation two further metrics: `flipped`, the share of examples whose decision differs from that for the
    unchanged input (unless examples are mixed), and of an attack `still`, the share of inputs that it cannot move, as the
    loss has no gradient there. Of a targeted attack also `hit`, the share of the examples of other classes that are taken
    for the class aimed at.

    Attributes:
        setup: what is static about the lanes.
        width: lanes computed at once.
        mixture: how passes are averaged.
        passes: passes with dropout on; None is one pass with dropout off.
        judged: whether to compute the metrics of the mean over passes.
        set_metrics: metrics of the whole split to compute, as `judging.set_metric` takes them.
        perturbation: changes the inputs, alike in all lanes and passes but for an attack.
        telling: whether to return what each lane says of each example.
    """

    setup: Setup
    width: int
    mixture: Mixture
    passes: int | None
    judged: bool
    set_metrics: tuple[str, ...]
    perturbation: Perturbation | None = None
    telling: bool = False

    def __call__(
        self, variables: Tree, numbers: Numbers, split: Split, amounts: Mapping[str, Array] | None = None
    ) -> tuple[Parts, dict[str, Array], Told | None]:
        """Parts, metrics and `Told` of lanes, from their variables [P, …] and numbers [P]; amounts are of the perturbation."""

        def predicted_by(run: Run, variables: Tree) -> tuple[Parts, dict[str, Array], Told | None]:
            return self._predict(run, variables, split, amounts or {})

        return per_run(predicted_by, self.setup.run, self.width, numbers, variables)

    def _predict(
        self, run: Run, variables: Tree, split: Split, amounts: Mapping[str, Array]
    ) -> tuple[Parts, dict[str, Array], Told | None]:
        """Parts, metrics and `Told` of one run."""
        x, y, offset, scale = split

        def passed(at: Any) -> tuple[Parts, Changed | None]:
            raw, changed = self._raw(run, variables, split, stream(run.seed, "dropout", at), amounts)
            return self.mixture.parts(raw), changed

        def further(at: Array, total: Parts) -> Parts:
            return tuple(map(self.mixture.add, total, passed(at)[0]))

        with jax.default_matmul_precision(run.matmul_precision):
            passes = self.passes or 1
            total, changed = passed(0)
            total = lax.fori_loop(1, passes, further, total) if passes > 1 else total
            mean = self.mixture.mean(total, passes)
            y = y if changed is None else changed.targets
            metrics = judge(self.mixture, run, mean, (x, y, offset, scale)) if self.judged else {}
            metrics |= {
                name: set_metric(name, self.mixture, run, mean, (x, y, offset, scale)) for name in self.set_metrics
            }
            told = told_of(run, self.mixture, mean, y)
            if changed is not None:
                metrics |= self._changes(run, variables, split, told.decisions, changed)
        return mean, metrics, told if self.telling else None

    def _changes(
        self, run: Run, variables: Tree, split: Split, decision: Array | None, changed: Changed
    ) -> dict[str, Array]:
        """What a perturbation does besides the metrics."""
        out = {"still": jnp.mean(changed.still.astype(jnp.float32))} if isinstance(self.perturbation, Attacked) else {}
        mixes = isinstance(self.perturbation, Corrupted) and self.perturbation.mixes
        if decision is None or mixes:
            return out
        plain = dataclasses.replace(self, perturbation=None, passes=None)
        before = plain._raw(run, variables, split, stream(run.seed, "dropout"), {})[0]
        differs = decision != decisions(at_full(run), before)
        out["flipped"] = jnp.mean(differs.astype(jnp.float32))
        if isinstance(self.perturbation, Attacked) and self.perturbation.aim:
            aimed, targets = (part.reshape(decision.shape) for part in (changed.aimed, changed.targets))
            could = aimed != targets
            hits = jnp.sum((could & (decision == aimed)).astype(jnp.float32))
            out["hit"] = hits / jnp.sum(could.astype(jnp.float32))
        return out

    def _raw(
        self, run: Run, variables: Tree, split: Split, key: Array, amounts: Mapping[str, Array]
    ) -> tuple[Array, Changed | None]:
        """Raw outputs [N, …] of one pass, in blocks of rows, and the inputs' changes (without the inputs)."""
        x, y, offset, scale = split
        count = x.shape[0]
        rows = max(16, min(count, BLOCK_NUMBERS // max(1, x[0].size)))
        if isinstance(self.perturbation, Attacked):
            rows = min(rows, ATTACKED_ROWS)
        keys = {"sample": stream(run.seed, "sample"), "dropout": key}

        def block(at: Array) -> tuple[Array, Changed | None]:
            here = jnp.minimum(at * rows + jnp.arange(rows), count - 1)
            batch = x[here], y[here]
            # The same corruption for all runs and passes, so that comparisons are paired.
            drawn = jax.random.fold_in(jax.random.key(0), at)
            of_block = {name: jax.random.fold_in(own, at) for name, own in keys.items()}
            with nn.intercept_methods(dropout_on) if self.passes is not None else contextlib.nullcontext():
                victim = victim_of(self.setup, run, variables, (*batch, offset, scale), drawn, of_block)
                if self.perturbation is None:
                    return victim.outputs(standardize(batch[0], offset, scale)).prediction, None
                key = jax.random.fold_in(drawn, 1)
                changed = self.perturbation(victim, batch, (offset, scale), key, amounts)
                return victim.outputs(changed.seen).prediction, changed._replace(seen=jnp.zeros(rows))

        found = lax.map(block, jnp.arange(-(-count // rows)))
        return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:])[:count], found)


def dropout_on(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    """A Flax interceptor that turns dropout on and leaves the rest of the net in evaluation mode."""
    if isinstance(context.module, Dropout) and context.method_name == "__call__":
        kwargs = {**kwargs, "train": True}
    return next_call(*args, **kwargs)


def has_dropout(setup: Setup, run: Run) -> bool:
    """Whether dropout has any effect on the run's net: whether it has a `nets.Dropout` with a rate above 0, or a traced one."""
    rates = []

    def look(next_call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Dropout):
            rates.append(context.module.rate)
        return next_call(*args, **kwargs)

    keys = {name: jax.random.key(0) for name in ("params", "dropout", "sample")}
    with nn.intercept_methods(look):
        net = build_net(setup, run)
        jax.eval_shape(lambda: net.init(keys, jnp.zeros((1, *setup.features)), train=False))
    return any(not isinstance(rate, (int, float)) or rate > 0 for rate in rates)


def recompute(setup: Setup, width: int, variables: Tree, numbers: Numbers, train: Split) -> Tree:
    """Variables [P, …] with batch-norm statistics of the whole training split, in batches of the run's size.

    The last, incomplete batch is left out. Dropout is off, as in evaluation.
    """

    def recomputed(run: Run, variables: Tree) -> Tree:
        run = dataclasses.replace(run, dropout=0.0)
        net, size = build_net(setup, run), run.batch_size
        keys = {name: stream(run.seed, name) for name in ("dropout", "sample")}
        x, _, offset, scale = train

        def batch(at: Array) -> Tree:
            rows = standardize(lax.dynamic_slice_in_dim(x, at * size, size), offset, scale)
            return recomputed_statistics(net, {"params": variables["params"], **variables["rest"]}, [rows], keys)

        return {"rest": {**variables["rest"], "batch_stats": _joined(lax.map(batch, jnp.arange(x.shape[0] // size)))}}

    return {**variables, **per_run(recomputed, setup.run, width, numbers, variables)}


def _joined(statistics: Tree) -> Tree:
    """The statistics of a union of batches, from theirs [n, C]: Var = E[Var] + Var[E]."""

    def union(of_layer: Tree) -> Tree:
        mean, var = of_layer["mean"], of_layer["var"]
        return {"mean": mean.mean(axis=0), "var": var.mean(axis=0) + mean.var(axis=0)}

    return jax.tree.map(union, statistics, is_leaf=lambda node: set(node) == {"mean", "var"})
