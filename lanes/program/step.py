"""The train step: a pure function (state, batch, numbers) -> (state, metrics) of one lane.

It is written for one run and knows nothing of lanes: the same function runs alone, under `vmap` and `lax.map` over lanes, and
in every mapping over devices. Its run holds tracers in place of traced numbers: `run.learning_rate`, `run.optimizer.b1`.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.program import skipping
from lanes.program.scheduled import at_full, at_step
from lanes.recipe.augmentations_noise import MixesTargets
from lanes.recipe.averages import averaged
from lanes.recipe.optimizers_own import optimizer_of
from lanes.recipe.rules import Problem
from lanes.recipe.schedules_own import schedule_of
from lanes.recipe.tasks_predicting import View
from losses import L1, L2, one_hot
from losses.penalties_on_weights import is_kernel
from nets import Outputs, outputs_of
from nets.abilities import EmbedsTokens, HasThreshold
from nets.activations import PerLayer
from nets.initializers import scaled
from nets.masks import folded

Array = jax.Array
Tree = Any
Batch = tuple[Array, Array]

# Named streams of randomness: each is the run's seed folded with its number, then with the step.
STREAMS = {
    "initialization": 0,
    "dropout": 1,
    "noise": 2,
    "augmentation": 3,
    "sample": 4,
    "rule": 5,
    "penalty": 6,
    "transform": 7,
    "langevin": 8,
    "corruption": 9,
    "bias": 10,
}


class Trained(NamedTuple):
    """What a step changes: parameters, the net's other variables (batch statistics), optimizer and average states."""

    params: Tree
    rest: Tree
    optimizer: Tree
    average: Tree


class StepMetrics(NamedTuple):
    """Metrics of one step, before the update; XLA drops the unused ones.

    Attributes:
        loss: the data term.
        batch_penalty: the penalties on activations, codes and the encoder, which depend on the batch.
        weight_penalty: the penalties on the weights alone.
        finite: whether the loss, the penalties and the update are finite.
    """

    loss: Array
    batch_penalty: Array
    weight_penalty: Array
    finite: Array

    @property
    def penalty(self) -> Array:
        """What is added to the data term."""
        return self.batch_penalty + self.weight_penalty


@dataclasses.dataclass(frozen=True)
class Setup:
    """What is static about runs that share a program: equal for all of them.

    Attributes:
        run: any of them, resolved; its traced numbers are blanked, so that no lane's values are used for all lanes.
        outputs: number of outputs of the net.
        features: shape of an example.
        examples: number of training examples.
        vocabulary: number of distinct tokens of the inputs; None if they are numbers, or it is that of the outputs.
        signature: tells apart functions that compare equal and compute different things, for which JAX would share a program.
        classes: number of classes of the targets, if they are classes; None stands for the number of outputs.
        padded: whether the inputs are series of unequal length.
    """

    run: Run
    outputs: int
    features: tuple[int, ...]
    examples: int
    vocabulary: int | None = None
    signature: str = ""
    classes: int | None = None
    padded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "run", runs.blanked(self.run))

    @property
    def steps_per_epoch(self) -> int:
        """floor(n / B)."""
        return self.examples // self.run.batch_size

    def horizon(self, run: Run) -> Any:
        """The run's length in steps."""
        return run.epochs * self.steps_per_epoch if run.steps is None else run.steps


def stream(seed: Array | int, name: str, step: Array | int = 0) -> Array:
    """The random key of one stream of a run at one step."""
    key = jax.random.fold_in(jax.random.key(seed), STREAMS[name])
    return jax.random.fold_in(key, step) if isinstance(step, int) else folded(key, step)


def build_net(setup: Setup, run: Run) -> nn.Module:
    """The run's net, with those of the fields below that it declares filled from the run."""
    filled = {
        "outputs": setup.outputs,
        "activation": PerLayer(run.activation),
        "kernel_init": scaled(run.initializer, run.init_scale),
        "dropout": at_full(run).dropout,
    }
    if setup.vocabulary is not None and isinstance(run.net, EmbedsTokens) and run.net.vocabulary is None:
        filled["vocabulary"] = setup.vocabulary
    filled |= {"reads_padding": True} if setup.padded else {}
    declared = {field.name for field in dataclasses.fields(run.net)}
    return run.net.clone(**{name: value for name, value in filled.items() if name in declared})


def standardize(x: Array, offset: Array, scale: Array) -> Array:
    """(x - offset) · scale for numbers [B, …]; integer tokens are unchanged."""
    if jnp.issubdtype(x.dtype, jnp.integer) and x.dtype != jnp.uint8:
        return x
    rank = (1,) * (x.ndim - offset.ndim)
    return (x.astype(jnp.float32) - offset.reshape(rank + offset.shape)) * scale.reshape(rank + scale.shape)


def apply(
    setup: Setup,
    run: Run,
    params: Tree,
    rest: Tree,
    x: Array,
    *,
    train: bool,
    keys: Mapping[str, Array],
    capture: bool = False,
) -> tuple[Outputs, Tree, list[Array]]:
    """The net's outputs in float32, its other variables after the pass, and, if captured, its hidden activations."""
    if run.precision == "bfloat16":
        params, x = (jax.tree.map(_half, tree) for tree in (params, x))
    mutable = [*(rest if train else ()), *(["intermediates"] if capture else [])]
    net = build_net(setup, run)
    with skipping.dropout(run) if train else contextlib.nullcontext():
        result = net.apply({"params": params, **rest}, x, train=train, rngs=dict(keys), mutable=mutable or False)
    result, changed = result if mutable else (result, {})
    hidden = jax.tree.leaves(changed.get("intermediates", {}))
    after = {
        name: jax.tree.map(lambda new, old: new.astype(old.dtype), changed.get(name, old), old)
        for name, old in rest.items()
    }
    return jax.tree.map(_single, outputs_of(result)), after, hidden


def _half(leaf: Array) -> Array:
    return leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf


def _single(leaf: Array) -> Array:
    return leaf.astype(jnp.float32) if leaf.dtype == jnp.bfloat16 else leaf


def objective(
    setup: Setup, run: Run, params: Tree, rest: Tree, view: View, step: Array
) -> tuple[Array, tuple[StepMetrics, Tree, Array]]:
    """The training loss of one batch as the task sees it: the mean data term plus the active penalties.

    Returns the sum, and (step metrics, the net's other variables, raw prediction).
    """
    keys = {name: stream(run.seed, name, step) for name in ("dropout", "sample")}
    acting: dict[str, list[Any]] = {}
    for penalty in run.penalties:
        acting.setdefault(penalty.acts_on, []).append(penalty)
    for penalty in acting.get("weights", ()):
        params = penalty(params, stream(run.seed, "penalty", step))
    forward = functools.partial(apply, setup, run, rest=rest, x=view.inputs, train=True, keys=keys)
    if run.task.players:
        data, outputs, after, hidden = _played(run, params, forward)
    else:
        capture = "activations" in acting or "code" in acting
        outputs, after, hidden = forward(params, capture=capture)
        data = jnp.mean(run.task.losses(run, outputs, view, train=True))
    penalty = jnp.zeros(())
    for term in acting.get("activations", ()):
        penalty += term(hidden)
    for term in acting.get("code", ()):
        penalty += term([hidden[-1] if outputs.latent is None else outputs.latent])
    for term in acting.get("encoder", ()):
        penalty += term(_encoder(setup, run, params, rest), view.inputs, stream(run.seed, "penalty", step))
    on_weights = weight_penalty(run, params)
    loss = data + penalty + on_weights
    return loss, (StepMetrics(data, penalty, on_weights, jnp.isfinite(loss)), after, outputs.prediction)


def weight_penalty(run: Run, params: Tree) -> Array:
    """The sum of the active penalties on weights: l1, l2, and those of `penalties` that act on parameters."""
    terms = []
    run = at_full(run)
    for name, kind in (("l1", L1), ("l2", L2)):
        if not runs.is_off(run, name):
            term = kind(strength=getattr(run, name))(params)
            # 0 times an infinite sum is not 0.
            terms.append(jnp.where(getattr(run, name) > 0, term, 0) if runs.may_be_neutral(run, name) else term)
    terms += [penalty(params) for penalty in run.penalties if penalty.acts_on == "params"]
    return sum(terms, jnp.zeros(()))


def _played(run: Run, params: Tree, forward: Any) -> tuple[Array, Outputs, Tree, list[Array]]:
    """Data term of a task with players: the sum of their losses; each player's gradient comes from its own loss alone."""
    data = jnp.zeros(())
    for player in run.task.players:
        held = {name: part if name == player else jax.lax.stop_gradient(part) for name, part in params.items()}
        outputs, after, hidden = forward(held)
        data += jnp.mean(run.task.player_losses(player, outputs))
    return data, outputs, after, hidden


def _encoder(setup: Setup, run: Run, params: Tree, rest: Tree) -> Any:
    """x [B, …] -> code [B, M]: the net's latent if it has one, otherwise its last hidden activation."""

    def encode(x: Array) -> Array:
        outputs, _, hidden = apply(
            setup, run, params, rest, x, train=False, keys={"sample": jax.random.key(0)}, capture=True
        )
        code = outputs.latent if outputs.latent is not None else hidden[-1]
        return code.reshape(code.shape[0], -1)

    return encode


def perturb(run: Run, batch: Batch, step: Array, classes: int | None = None) -> Batch:
    """The batch after augmentation and input noise; the `classes` become one-hot if an augmentation mixes them."""
    x, y = batch
    mixed = any(isinstance(one, MixesTargets) and one.mixes_targets for one in run.augment)
    if mixed and classes is not None and jnp.issubdtype(y.dtype, jnp.integer):
        y = one_hot(y, classes)
    for at, augmentation in enumerate(run.augment):
        x, y = augmentation(jax.random.fold_in(stream(run.seed, "augmentation", step), at), x, y)
    if not runs.is_off(run, "input_noise"):
        x = skipping.noised(run, x, stream(run.seed, "noise", step))
    return x, y


def transformation(setup: Setup, run: Run, rate_factor: Array, step: Array) -> optax.GradientTransformationExtraArgs:
    """The run's Optax transformation at this step, built from traced numbers."""
    rate = run.learning_rate * schedule_of(run.schedule)(step, setup.horizon(run)) * rate_factor
    return optimizer_of(run.optimizer).build(
        learning_rate=rate,
        momentum=runs.strength(run, "momentum"),
        weight_decay=runs.strength(run, "weight_decay"),
        mask=kernels_mask,
        clip=None if runs.may_be_neutral(run, "clip") else runs.strength(run, "clip"),
        key=stream(run.seed, "langevin", step),
        examples=setup.examples,
    )


def kernels_mask(params: Tree) -> Tree:
    """True at the kernels: what weight decay and the penalties act on."""
    return jax.tree_util.tree_map_with_path(lambda path, _: is_kernel(path), params)


def train_step(
    setup: Setup, run: Run, state: Trained, batch: Batch, rate_factor: Array, step: Array
) -> tuple[Trained, StepMetrics]:
    """One update of one run.

    Args:
        setup: what is static.
        run: the run, with traced numbers.
        state: before the step.
        batch: standardized x [B, …], and y [B, …].
        rate_factor: the plateau schedule's factor of the learning rate.
        step: number of the step from 0, int32.
    """
    run = at_step(run, step, setup.horizon(run))
    with jax.default_matmul_precision(run.matmul_precision):
        view = run.task.view(
            *perturb(run, batch, step, setup.classes or setup.outputs), stream(run.seed, "corruption", step)
        )

        def loss(params: Tree) -> Any:
            return objective(setup, run, params, state.rest, view, step)

        # A rule that starts from output errors needs a threshold unit's sum, which the threshold would hide.
        summing = run
        if isinstance(run.net, HasThreshold) and run.net.threshold:
            summing = dataclasses.replace(run, net=run.net.clone(threshold=False))

        def outputs(params: Tree) -> Array:
            return objective(setup, summing, params, state.rest, view, step)[1][2]

        needed = outputs if run.rule.needs_outputs else None
        problem = Problem(loss=loss, outputs=needed, targets=view.target, progress=step / setup.horizon(run))
        (value, (metrics, rest, _)), direction = run.rule(problem, state.params, stream(run.seed, "rule", step))
        optimizer = transformation(setup, run, rate_factor, step)
        extra = (
            {"value": value, "grad": direction, "value_fn": lambda params: loss(params)[0]}
            if optimizer_of(run.optimizer).needs_value
            else {}
        )
        if runs.may_be_neutral(run, "clip"):
            direction = skipping.clipped(run, direction)
        updates, optimizer_state = optimizer.update(direction, state.optimizer, state.params, **extra)
        updates = run.task.paced(updates)
        params = optax.apply_updates(state.params, updates)
        for penalty_term in run.penalties:
            if penalty_term.acts_on == "projection":
                params = penalty_term(params)
        average = averaged(run.average, state.average, params, optimizer_state, step, setup.horizon(run))
    return Trained(params, rest, optimizer_state, average), metrics._replace(
        finite=metrics.finite & all_finite(updates)
    )


def all_finite(tree: Tree) -> Array:
    """Whether every number is finite: 0 · x sums to 0, of all leaves of a type side by side (few kernels to compile)."""
    leaves = jax.tree.leaves(tree)
    kinds = dict.fromkeys(leaf.dtype for leaf in leaves)
    flat = [jnp.concatenate([leaf.reshape(-1) for leaf in leaves if leaf.dtype == kind]) for kind in kinds]
    return functools.reduce(jnp.logical_and, [jnp.sum(part * 0) == 0 for part in flat], jnp.bool_(True))


def evaluated_params(run: Run, state: Trained) -> Tree:
    """The parameters that are evaluated and kept as best: the average if the run keeps one."""
    return state.params if run.average is None else run.average.params(state.average)
