"""The small program that draws the initial variables of lanes, and the one that makes fresh lanes from them."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from lanes.describe import runs
from lanes.describe.runs import Run
from lanes.program import given_bits, shared_widths
from lanes.program import lane as lane_
from lanes.program.lane import Lane
from lanes.program.over_lanes import Numbers, Tree
from lanes.program.shared_activation import Units
from lanes.program.step import Setup, build_net, standardize, stream
from nets.biases import with_biases
from nets.initializers import INITIALIZERS, Initializer, scaled
from nets.initializers_by_shape import orthogonal
from nets.initializers_of_part import draws_parts, part
from nets.initializers_transforming import Transforming

INIT_EXAMPLES = 256  # training examples that data-dependent initializers see
INITIAL = (
    "activation",
    "initializer",
    "bias_initializer",
    "init_scale",
    "seed",
    "net",
)  # the fields that determine initial variables
DRAWING = ("initializer.", "bias_initializer.")  # beginnings of the paths of numbers that act in initialization only
Examples = tuple[Any, Any, Any]  # raw inputs [N, …], offset, scale


def undrawn(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """The initializer of training programs, which Flax calls for shapes only: NaN, so that no net can train on it."""
    del key
    return jnp.full(shape, jnp.nan, dtype)


@dataclasses.dataclass(frozen=True)
class AnyInitializer:
    """The initializer at `index`, which is traced, among `kinds`: a program that draws for all of them has the net once.

    Attributes:
        kinds: the initializers.
        index: position in `kinds`.
        sizes: inputs, units of the hidden layers and outputs of the net that is drawn, where the program's is a wider one.
    """

    kinds: tuple[Initializer, ...]
    index: float = 0.0
    sizes: tuple[Units, ...] = ()

    def of_layer(self, layer: int) -> "AnyInitializer":
        """The initializer of the layer of this number, from 0."""
        return dataclasses.replace(self, sizes=self.sizes[layer : layer + 2])

    def __call__(self, key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        """The kernel that the chosen kind draws, from random bits that those which draw once have in common.

        A lane is drawn at a time, so what the other kinds make of them is not computed.
        """
        once = jnp.dtype(dtype) == jnp.float32 and sum(map(_draws_once, self.kinds)) > 1
        keys = (key, given_bits.drawn(key, shape) if once else key)
        draws = [functools.partial(self._drawn, kind, shape=shape, dtype=dtype) for kind in self.kinds]
        return lax.switch(jnp.asarray(self.index, jnp.int32), draws, keys)

    def _drawn(self, kind: Initializer, keys: tuple[Array, Array], shape: tuple[int, ...], dtype: Any) -> Array:
        key = keys[_draws_once(kind)]
        if not self.sizes:
            return kind(key, shape, dtype)
        inputs, outputs = self.sizes
        return part(kind, key, shape, (inputs.count, outputs.count), dtype)


def _draws_once(kind: Initializer) -> bool:
    """Whether an initializer draws one array as large as the kernel, from the key that it is given."""
    return draws_parts(kind) or kind is orthogonal


def may_share(initializer: Any) -> bool:
    """Whether an initializer may be one of `AnyInitializer`: those of the table that only draw, whatever their numbers."""
    if isinstance(initializer, Transforming):
        return False
    entries = INITIALIZERS.values()
    return any(
        type(initializer) is type(one) if dataclasses.is_dataclass(one) else initializer is one for one in entries
    )


def sharing(run: Run, kinds: Sequence[Initializer], index: int, sizes: Sequence[int] = ()) -> Run:
    """The run with its initializer at `index` among those that it shares a program with, and the sizes of its net if any."""
    own = (*kinds[:index], run.initializer, *kinds[index + 1 :])
    initializer = AnyInitializer(own, float(index), tuple(Units(float(size)) for size in sizes))
    return dataclasses.replace(run, initializer=initializer)


def may_draw_parts(run: Run) -> bool:
    """Whether a perceptron may be drawn as part of a wider one."""
    bias = run.bias_initializer
    return draws_parts(run.initializer) and (bias is None or draws_parts(bias))


def _own_widths(run: Run) -> list[Any]:
    """The traced widths of the net that is drawn, where the program's is a wider one."""
    initializer = run.initializer
    return [units.count for units in initializer.sizes[1:-1]] if isinstance(initializer, AnyInitializer) else []


def initial_numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The traced numbers that initial variables depend on."""
    return {name: value for name, value in numbers.items() if name.split(".")[0] in INITIAL}


def initialize(setup: Setup, variables: Tree, numbers: Numbers, lanes: Array, count: Array, examples: Examples) -> Tree:
    """`variables` [P, …], where those of `lanes[:count]` are drawn by the setup's initializer from `numbers[:count]`.

    Lanes are drawn one at a time, in a loop of traced length: a lane's draws do not depend on other lanes, and a switch over
    initializers computes one of them. Where `variables` are larger (`lanes.program.shared_widths`), zeros follow the draws.
    """

    def put(i: Array, variables: Tree) -> Tree:
        own = {name: value[i] for name, value in numbers.items()}
        new = initial_variables(setup, runs.with_numbers(setup.run, own), examples)
        return jax.tree.map(
            lambda leaves, leaf: leaves.at[lanes[i]].set(_filled(leaf, leaves.shape[1:])), variables, new
        )

    return lax.fori_loop(0, count, put, variables)


def _filled(leaf: Array, shape: tuple[int, ...]) -> Array:
    """The array followed by zeros along each axis that is longer in `shape`."""
    if leaf.shape == shape:
        return leaf
    return jnp.pad(leaf, [(0, size - own) for size, own in zip(shape, leaf.shape, strict=True)])


def initial_variables(setup: Setup, run: Run, examples: Examples) -> Tree:
    """`{"params", "rest"}` of one run; the examples are for data-dependent initializers."""
    x = standardize(*(jnp.asarray(part) for part in examples))
    initializer, widths = scaled(run.initializer, run.init_scale), _own_widths(run)
    net = build_net(setup, run)
    keys = {name: stream(run.seed, name) for name in ("dropout", "sample")}
    variables: Any = net.init({"params": stream(run.seed, "initialization"), **keys}, x[:1], train=False)
    variables = {name: tree for name, tree in variables.items() if name != "intermediates"}
    if run.bias_initializer is not None:
        fan_ins = shared_widths.fan_ins(widths)
        params = with_biases(variables["params"], run.bias_initializer, stream(run.seed, "bias"), fan_ins)
        variables = {**variables, "params": params}
    if widths:
        variables = {**variables, "params": shared_widths.cleared(variables["params"], widths)}
    if isinstance(initializer, Transforming):
        variables = initializer.transform(variables, net, x, stream(run.seed, "transform"))
    return {"params": variables.pop("params"), "rest": variables}


def start(setup: Setup, variables: Tree, numbers: Numbers, empty: Array) -> Lane:
    """Lanes [P] before their first epoch."""

    def of_lane(variables: Tree, numbers: Numbers, empty: Array) -> Lane:
        run = runs.with_numbers(setup.run, numbers)
        return lane_.start(setup, run, variables["params"], variables["rest"], empty)

    return jax.vmap(of_lane)(variables, numbers, empty)
