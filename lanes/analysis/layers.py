"""The activations of a net, found in its trace: for nets of any library, whatever they name their layers.

A net is traced, and its operations are evaluated one after the other. Where one of them is an activation, its argument z, its
value h and its derivative g'(z) are kept: where `marked` marks it, or where elementwise operations compute it from one array
and single numbers (`jax.nn.relu(z)`, `jnp.where(z > 0, z, 0.1 * z)`).
"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core

from lanes.analysis import elementwise

BEFORE, AFTER = "lanes.analysis: z", "lanes.analysis: h"
STATISTICS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "argmax", "argmin")
MOVING = ("broadcast_in_dim", "reshape", "squeeze")
SPAN, POINTS = 8.0, 257  # the largest derivative is looked for at POINTS numbers from -SPAN to SPAN

Net = Callable[[Any, Array], Any]  # (params, x [B, …]) -> anything


class Layer(NamedTuple):
    """One activation h = g(z) of a net, on a batch.

    Attributes:
        h: values [B, …, C]; of a loop over time [T, B, …, C].
        slope: g'(z), of the shape of h; None if g is not elementwise, as softmax and maxout.
        steepest: the largest |g'|, of those at z and at evenly spaced numbers from -8 to 8.
    """

    h: Array
    slope: Array | None
    steepest: Array | None


Kept = tuple[str, str, Layer]  # module, function, layer


@dataclasses.dataclass(frozen=True)
class Marked:
    """An activation that `layers` finds, whatever it computes. `module` and `pieces` are those of the activation."""

    activation: Any

    def __call__(self, z: Array) -> Array:
        return _mark(self.activation, z)


class MarkedModule(Marked):
    """A learned activation that `layers` finds."""

    def module(self) -> Callable[[Array], Array]:
        """A new layer."""
        return functools.partial(_mark, self.activation.module())


class MarkedPieces(Marked):
    """A widening activation that `layers` finds."""

    @property
    def pieces(self) -> int:
        """The factor by which the layer before it is widened."""
        return int(self.activation.pieces)


def marked(activation: Any) -> Marked:
    """The activation, with the same values and parameters, so that `layers` finds it."""
    if hasattr(activation, "module"):
        return MarkedModule(activation)
    return MarkedPieces(activation) if hasattr(activation, "pieces") else Marked(activation)


def _mark(activation: Callable[[Array], Array], z: Array) -> Array:
    return checkpoint_name(activation(checkpoint_name(z, BEFORE)), AFTER)


def layers(net: Net, params: Any, x: Array, slopes: bool = True) -> tuple[dict[str, Layer], Any]:
    """The activations of a net by name, in the order of evaluation, and what the net returns. It can be compiled.

    A layer is named after the module of Flax Linen that it is in, and its function if the module has several ("cell sigmoid");
    outside of all modules, after its function. Further ones of a name are numbered from 2. Each turn of a loop over layers is
    a layer.

    Args:
        net: a function of parameters and a batch; the parameters' names tell modules from methods.
        params: its parameters.
        x: the batch [B, …].
        slopes: whether to compute derivatives; otherwise `slope` and `steepest` are None.
    """
    closed, out_shape = jax.make_jaxpr(functools.partial(net, params), return_shape=True)(x)
    walk = _Walk(params, slopes)
    results, _ = walk.run(closed.jaxpr, closed.consts, [x], [True], ())
    return _named(walk.found), jax.tree.unflatten(jax.tree.structure(out_shape), results)


def _named(found: Sequence[Kept]) -> dict[str, Layer]:
    functions: dict[str, set[str]] = {}
    for module, function, _ in found:
        functions.setdefault(module, set()).add(function)
    counts: dict[str, int] = {}
    out = {}
    for module, function, layer in found:
        name = module if module and len(functions[module]) == 1 else f"{module} {function}".strip()
        counts[name] = counts.get(name, 0) + 1
        out[name if counts[name] == 1 else f"{name} {counts[name]}"] = layer
    return out


class _Walk:
    """Evaluates a traced program and keeps its activations."""

    def __init__(self, params: Any, slopes: bool):
        self.params, self.slopes = params, slopes
        self.found: list[Kept] = []

    def run(
        self,
        jaxpr: core.Jaxpr,
        consts: Sequence[Any],
        args: Sequence[Any],
        varying: Sequence[bool],
        scopes: tuple[str, ...],
    ) -> tuple[list[Any], list[bool]]:
        """The program's results, and which of them depend on the batch, for arguments of which `varying` says so."""
        state = _State(jaxpr, consts, args, varying)
        at = 0
        while at < len(jaxpr.eqns):
            at += self._step(jaxpr, at, state, scopes)
        return [state.read(v) for v in jaxpr.outvars], [state.varies(v) for v in jaxpr.outvars]

    def _step(self, jaxpr: core.Jaxpr, at: int, state: "_State", scopes: tuple[str, ...]) -> int:
        """Evaluate the operations at a position; returns how many."""
        equation = jaxpr.eqns[at]
        here = (*scopes, *str(equation.source_info.name_stack).split("/"))
        found = self._activation(jaxpr, at, state)
        if found is not None:
            count, z, h = found
            self._keep(jaxpr.eqns[at : at + count], z, h, state, here)
            return count
        body = elementwise.inner(equation)
        if equation.primitive.name == "scan" and _bends(equation.params["jaxpr"].jaxpr):
            state.write(equation, *self._scan(equation, state, here))
        elif body is not None and _bends(body):
            closed = next(equation.params[name] for name in elementwise.BODIES if name in equation.params)
            values, flags = [state.read(v) for v in equation.invars], [state.varies(v) for v in equation.invars]
            state.write(equation, *self.run(body, getattr(closed, "consts", ()), values, flags, here))
        else:
            state.evaluate(equation)
        return 1

    def _activation(self, jaxpr: core.Jaxpr, at: int, state: "_State") -> tuple[int, Any, Any] | None:
        """The activation that starts at a position: number of operations, argument and value."""
        equation = jaxpr.eqns[at]
        if _is_mark(equation, BEFORE):
            count = next(n for n, each in enumerate(jaxpr.eqns[at:], 1) if _is_mark(each, AFTER))
            return count, equation.invars[0], jaxpr.eqns[at + count - 1].outvars[0]
        if not state.is_activation_argument(equation):
            return None
        found = elementwise.group(jaxpr.eqns, at, state.uniform, jaxpr.outvars)
        return None if found is None or not state.varies(found[1]) or found[1] in state.statistics else found

    def _keep(self, equations: Sequence[Any], z: Any, h: Any, state: "_State", scopes: tuple[str, ...]) -> None:
        """Evaluate an activation, and keep it."""
        before = state.copy()

        def g(value: Array) -> Array:
            return before.after(equations, z, value).read(h)

        for equation in equations:
            state.evaluate(equation)
        slope = _slope(g, state.read(z)) if self.slopes else (None, None)
        layer = Layer(state.read(h), *slope)
        self.found.append((_module(self.params, scopes), elementwise.kind(equations) or "activation", layer))

    def _scan(self, equation: Any, state: "_State", scopes: tuple[str, ...]) -> tuple[list[Any], list[bool]]:
        """A loop, with the activations of all its turns."""
        params = equation.params
        body, (constants, carried) = params["jaxpr"], _counts(params)
        scanned = constants + carried
        values, flags = [state.read(v) for v in equation.invars], [state.varies(v) for v in equation.invars]
        inside = [*flags[:constants], *[True] * carried, *flags[scanned:]]
        outside = self.found
        names: list[tuple[str, str]] = []

        def turn(carry: list[Any], xs: list[Any]) -> tuple[list[Any], Any]:
            self.found = []
            out, _ = self.run(body.jaxpr, body.consts, [*values[:constants], *carry, *xs], inside, scopes)
            names[:] = [(module, function) for module, function, _ in self.found]
            return out[:carried], (out[carried:], [layer for *_, layer in self.found])

        lengths = {name: params[name] for name in ("length", "reverse", "unroll")}
        carry, (out, kept) = lax.scan(turn, values[constants:scanned], values[scanned:], **lengths)
        self.found = outside
        for (module, function), layer in zip(names, kept, strict=True):
            if any(flags[scanned:]):
                self.found.append((module, function, _over_time(layer)))
            else:
                self.found += _turns(module or function, layer, params["length"])
        return [*carry, *out], [True] * len(equation.outvars)


def _counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """How many inputs of a scan are constants, and how many are carried from turn to turn."""
    if "ft_in" in params:  # JAX 0.12 on
        constants, carried, _ = map(len, params["ft_in"].unpack())
        return constants, carried
    return params["num_consts"], params["num_carry"]


def _turns(name: str, layer: Layer, length: int) -> list[Kept]:
    """The layers of a loop over layers, one for each turn."""
    return [(f"{name}[{turn}]", "", jax.tree.map(lambda leaf, turn=turn: leaf[turn], layer)) for turn in range(length)]


def _over_time(layer: Layer) -> Layer:
    """The layer of a loop over time steps."""
    return layer if layer.steepest is None else layer._replace(steepest=jnp.max(layer.steepest))


class _State:
    """The values of a program's variables, and what is known of them."""

    def __init__(self, jaxpr: core.Jaxpr, consts: Sequence[Any], args: Sequence[Any], varying: Sequence[bool]):
        self.jaxpr = jaxpr
        self.values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))
        self.varying = {v for v, flag in zip(jaxpr.invars, varying, strict=True) if flag}
        self.uniform: set[Any] = set()  # a single number, repeated
        self.statistics: set[Any] = set()  # reduced over some axis, such as a variance

    def read(self, variable: Any) -> Any:
        """A variable's value."""
        return variable.val if isinstance(variable, core.Literal) else self.values[variable]

    def varies(self, variable: Any) -> bool:
        """Whether a variable depends on the batch."""
        return not isinstance(variable, core.Literal) and variable in self.varying

    def write(self, equation: Any, values: Sequence[Any], varying: Sequence[bool]) -> None:
        """Keep an operation's results."""
        self.values |= zip(equation.outvars, values, strict=True)
        self.varying |= {v for v, flag in zip(equation.outvars, varying, strict=True) if flag}

    def evaluate(self, equation: Any) -> None:
        """Evaluate an operation as it is."""
        read = dict.fromkeys(v for v in equation.invars if not isinstance(v, core.Literal))
        kept = [v for v in equation.outvars if not isinstance(v, core.DropVar)]
        alone = self.jaxpr.replace(constvars=[], invars=list(read), outvars=kept, eqns=[equation])
        results = core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*map(self.read, read))
        self.values |= zip(kept, results, strict=True)
        self.varying |= set(kept) if any(map(self.varies, equation.invars)) else set()
        operands = [v for v in equation.invars if not isinstance(v, core.Literal)]
        moves, maps = equation.primitive.name in MOVING, elementwise.is_elementwise(equation)
        if (moves or maps) and all(v.aval.shape == () or v in self.uniform for v in operands):
            self.uniform |= set(equation.outvars)
        varied = [v for v in operands if v in self.varying]
        follows = (moves or maps) and varied and all(v in self.statistics for v in varied)
        if equation.primitive.name in STATISTICS or follows:
            self.statistics |= set(equation.outvars)

    def is_activation_argument(self, equation: Any) -> bool:
        """Whether an operation may be the first of an activation: it computes elementwise on the batch's numbers."""
        operands = [v for v in equation.invars if self.varies(v)]
        floats = [v for v in operands if jnp.issubdtype(v.aval.dtype, jnp.floating) and v.aval.ndim >= 2]
        return len(set(operands)) == 1 == len(set(floats)) and elementwise.is_elementwise(equation)

    def copy(self) -> "_State":
        """A state of its own."""
        new = copy.copy(self)
        new.values, new.varying = dict(self.values), set(self.varying)
        new.uniform, new.statistics = set(self.uniform), set(self.statistics)
        return new

    def after(self, equations: Sequence[Any], z: Any, value: Array) -> "_State":
        """The state after operations, with another value of a variable."""
        new = self.copy()
        new.values[z] = value
        for equation in equations:
            new.evaluate(equation)
        return new


def _slope(g: Callable[[Array], Array], z: Array) -> tuple[Array | None, Array | None]:
    """(g'(z), the largest |g'|) of an elementwise function; (None, None) of another."""
    if jax.eval_shape(g, z).shape != z.shape or not jnp.issubdtype(z.dtype, jnp.floating):
        return None, None
    if not _keeps_places(g, z):
        return None, None
    slope = jax.jvp(g, (z,), (jnp.ones_like(z),))[1]
    # Numbers that XLA does not know: it would evaluate g at all of them while it compiles.
    first = lax.optimization_barrier(jnp.asarray(-SPAN, z.dtype))
    steps = jnp.arange(z.size, dtype=jnp.int32).reshape(z.shape) % POINTS
    wide = first + steps.astype(z.dtype) * jnp.asarray(2 * SPAN / (POINTS - 1), z.dtype)
    elsewhere = jax.jvp(g, (wide,), (jnp.ones_like(z),))[1]
    return slope, jnp.maximum(jnp.max(jnp.abs(slope)), jnp.max(jnp.abs(elsewhere))).astype(jnp.float32)


def _keeps_places(g: Callable[[Array], Array], z: Array) -> bool:
    """Whether each number of g(z) depends on the number at its place alone, by the operations that compute it."""
    eqns = jax.make_jaxpr(g)(z).jaxpr.eqns
    return all(elementwise.is_elementwise(e) or e.primitive.name in MOVING for e in eqns)


def _is_mark(equation: Any, name: str) -> bool:
    return equation.primitive.name == "name" and equation.params["name"] == name


def _bends(jaxpr: core.Jaxpr) -> bool:
    """Whether a program has a marked activation, or an operation that may be one."""
    for equation in jaxpr.eqns:
        body = equation.params["jaxpr"].jaxpr if equation.primitive.name == "scan" else elementwise.inner(equation)
        if _is_mark(equation, BEFORE) or elementwise.kind([equation]) or (body is not None and _bends(body)):
            return True
    return False


def _module(params: Any, scopes: Sequence[str]) -> str:
    """The path in the parameters that the scopes lead to; names of methods and lifted bodies are skipped."""
    path = []
    for scope in scopes:
        if isinstance(params, dict) and isinstance(params.get(scope), dict):
            params = params[scope]
            path.append(scope)
    return "/".join(path)
