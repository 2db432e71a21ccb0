"""Derivatives by hand, by differences, symbolically and in forward mode (dual numbers); and Hessians, by products.

Training uses `jax.grad`; these are for comparison with it, in numbers and in cost.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

Array = jax.Array
Layers = Sequence[tuple[Array, Array]]  # (W [in, out], b [out]) of each layer

# φ(z), and φ' as a function of z and a = φ(z).
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "identity": (lambda z: z, lambda z, a: jnp.ones_like(z)),  # noqa: ARG005
    "sigmoid": (jax.nn.sigmoid, lambda z, a: a * (1 - a)),  # noqa: ARG005
    "tanh": (jnp.tanh, lambda z, a: 1 - a**2),  # noqa: ARG005
    "relu": (jax.nn.relu, lambda z, a: (z > 0).astype(z.dtype)),  # noqa: ARG005
    "softplus": (jax.nn.softplus, lambda z, a: jax.nn.sigmoid(z)),  # noqa: ARG005
    "softsign": (jax.nn.soft_sign, lambda z, a: (1 - jnp.abs(a)) ** 2),  # noqa: ARG005
    "elu": (jax.nn.elu, lambda z, a: jnp.where(z > 0, jnp.ones_like(z), a + 1)),
}

# Output units with their losses: for each of these pairs the error at the output is a - y.
OUTPUTS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "identity": (lambda z: z, lambda z, y: 0.5 * jnp.sum((z - y) ** 2)),
    "sigmoid": (jax.nn.sigmoid, lambda z, y: jnp.sum(jax.nn.softplus(z) - y * z)),
    "softmax": (jax.nn.softmax, lambda z, y: -jnp.sum(y * jax.nn.log_softmax(z))),
}


def _entry(table: dict[str, Any], kind: str, name: str) -> Any:
    if name not in table:
        raise ValueError(f"{kind}={name!r} is unknown here: use one of {', '.join(table)}")
    return table[name]


def cost(
    layers: Layers, x: Array, y: Array, *, activation: str = "sigmoid", output: str = "sigmoid", l2: float | Array = 0.0
) -> Array:
    """The cost that `backpropagate` differentiates, as a function that `jax.grad` can differentiate too.

    Formula: J = Σ_b L(a_b, y_b) + λ/2 Σ W²; L is ½‖a - y‖² (identity), binary (sigmoid) or softmax cross-entropy
    """
    function, _ = _entry(ACTIVATIONS, "activation", activation)
    _, loss = _entry(OUTPUTS, "output", output)
    for w, b in layers[:-1]:
        x = function(x @ w + b[None, :])
    w, b = layers[-1]
    decay = sum(jnp.sum(w**2) for w, _ in layers)
    return loss(x @ w + b[None, :], y) + 0.5 * l2 * decay


def backpropagate(
    layers: Layers, x: Array, y: Array, *, activation: str = "sigmoid", output: str = "sigmoid", l2: float | Array = 0.0
) -> list[tuple[Array, Array]]:
    """Gradients of `cost` by the equations of backpropagation: x [B, F], y [B, K] -> (∂J/∂W, ∂J/∂b) of each layer.

    Gradients are summed over the batch; λ/2 Σ W² leaves out the biases. The output error is a - y only because each
    output unit comes with its matching loss. For a single linear unit this is the delta rule, which drops the factor 2
    of ‖a - y‖².

    Formula: δ_out = a - y; δ_h = δ_out Wᵀ ⊙ φ'(z); ∂J/∂W = Aᵀ δ + λ W; ∂J/∂b = Σ_b δ
    Reference: Rumelhart, Hinton and Williams, 1986
    """
    function, derivative = _entry(ACTIVATIONS, "activation", activation)
    unit, _ = _entry(OUTPUTS, "output", output)
    inputs, nets = [x], []  # A and Z of each layer
    for w, b in layers:
        nets.append(inputs[-1] @ w + b[None, :])
        inputs.append(function(nets[-1]))
    delta = unit(nets[-1]) - y
    gradients = []
    for i in reversed(range(len(layers))):
        w = layers[i][0]
        gradients.append((inputs[i].T @ delta + l2 * w, jnp.sum(delta, axis=0)))
        if i > 0:
            delta = (delta @ w.T) * derivative(nets[i - 1], inputs[i])
    return gradients[::-1]


def forward_difference(f: Callable[[float], float], a: float, h: float = 1e-7) -> float:
    """Slope of the secant through a and a + h; the error is of order h.

    Formula: (f(a + h) - f(a)) / h
    Reference: Newton, 1687
    """
    return (f(a + h) - f(a)) / h


def central_difference(f: Callable[[float], float], a: float, h: float = 1e-5) -> float:
    """Slope of the secant through a - h and a + h; the error is of order h².

    Formula: (f(a + h) - f(a - h)) / (2h)
    Reference: Press et al., 2007, section 5.7
    """
    return (f(a + h) - f(a - h)) / (2 * h)


def numerical_gradient(
    f: Callable[[np.ndarray], Any], x: Any, *, h: float | None = None, central: bool = True
) -> np.ndarray:
    """Gradient of a scalar function by differences, in float64: 2n calls (central) or n + 1 (forward) for n inputs.

    The default step is the cube root (central) or square root (forward) of the machine epsilon, times max(1, |x_i|).

    Formula: ∂f/∂x_i ≈ (f(x + h e_i) - f(x - h e_i)) / (2h)
    Reference: Press et al., 2007, section 5.7
    """
    x = np.array(x, dtype=np.float64)
    step = float(np.finfo(np.float64).eps ** (1 / 3 if central else 1 / 2)) if h is None else h
    gradient = np.zeros_like(x)
    here = 0.0 if central else float(f(x))
    for i in np.ndindex(x.shape):
        width = step * max(1.0, abs(x[i])) if h is None else step
        up, down = x.copy(), x.copy()
        up[i] += width
        down[i] -= width
        gradient[i] = (float(f(up)) - float(f(down))) / (2 * width) if central else (float(f(up)) - here) / width
    return gradient


def symbolic_gradient(f: Callable[..., Any], names: Sequence[str]) -> tuple[Callable[..., list[float]], list[Any]]:
    """Gradient of a formula by SymPy: a function of the named variables, and its expressions.

    f takes SymPy symbols and returns an expression. Derivatives can grow much faster than the formula ("expression
    swell").

    Formula: the rules of calculus applied to the formula of f
    Reference: Meurer et al., 2017 (SymPy)

    Raises ImportError if SymPy is not installed, with the command that installs it.
    """
    try:
        import sympy
    except ImportError as error:
        raise ImportError(
            "symbolic differentiation needs SymPy: pip install sympy, or this project with [test]"
        ) from error
    symbols = sympy.symbols(list(names))
    expressions = [sympy.diff(f(*symbols), symbol) for symbol in symbols]
    return sympy.lambdify(symbols, expressions, "numpy"), expressions


def _unit_slope(*arguments: Any) -> float:  # noqa: ARG001
    return 1.0


# Partial derivatives of each function that a jet can pass through.
PARTIALS: dict[np.ufunc, tuple[Callable[..., Any], ...]] = {
    np.add: (_unit_slope, _unit_slope),
    np.subtract: (_unit_slope, lambda x, y: -1.0),  # noqa: ARG005
    np.multiply: (lambda x, y: y, lambda x, y: x),  # noqa: ARG005
    np.divide: (lambda x, y: 1 / y, lambda x, y: -x / y**2),  # noqa: ARG005
    np.power: (lambda x, y: y * x ** (y - 1), lambda x, y: x**y * np.log(x)),
    np.maximum: (lambda x, y: 1.0 * (x > y), lambda x, y: 1.0 * (x <= y)),
    np.negative: (lambda x: -1.0,),  # noqa: ARG005
    np.absolute: (np.sign,),
    np.square: (lambda x: 2 * x,),
    np.sqrt: (lambda x: 0.5 / np.sqrt(x),),
    np.exp: (np.exp,),
    np.log: (lambda x: 1 / x,),
    np.sin: (np.cos,),
    np.cos: (lambda x: -np.sin(x),),
    np.tanh: (lambda x: 1 - np.tanh(x) ** 2,),
}


class Jet(np.lib.mixins.NDArrayOperatorsMixin):
    """Dual number with several ε: a value together with its derivatives along n directions.

    Works with operators and NumPy functions: `np.tanh(x * y)`. `value` is a scalar, `parts` the n derivatives.

    Formula: (a + Σ a_k ε_k)(b + Σ b_k ε_k) = ab + Σ (a b_k + b a_k) ε_k, as ε_i ε_j = 0; f(a + bε) = f(a) + f'(a) b ε
    Reference: Clifford, 1873; Wengert, 1964
    """

    def __init__(self, value: float, parts: Any) -> None:
        self.value = float(value)
        self.parts = np.asarray(parts, dtype=np.float64)

    @classmethod
    def variable(cls, value: float, k: int, n: int) -> "Jet":
        """The k-th of n variables: value + ε_k."""
        return cls(value, np.eye(n)[k])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc not in PARTIALS:
            return NotImplemented
        values = [x.value if isinstance(x, Jet) else x for x in inputs]
        if any(np.ndim(value) for value in values):
            return NotImplemented  # a jet is a scalar; vectors of jets are lists
        parts: Any = 0.0
        for x, partial in zip(inputs, PARTIALS[ufunc]):
            if isinstance(x, Jet):
                parts = parts + partial(*values) * x.parts
        return Jet(ufunc(*(float(value) for value in values)), parts)

    def __repr__(self) -> str:
        digits = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
        terms = [
            f" {'-' if part < 0 else '+'} {abs(part):g}ε{str(k).translate(digits)}" for k, part in enumerate(self.parts)
        ]
        return f"{self.value:g}{''.join(terms)}"


def dual_gradient(f: Callable[[list[Jet]], Jet], x: Sequence[float]) -> tuple[float, np.ndarray]:
    """Value and gradient of f in forward mode: a single pass carries n derivatives, so the cost grows with n.

    Formula: f(x + ε) = f(x) + Σ_k ∂f/∂x_k ε_k
    Reference: Wengert, 1964
    """
    result = f([Jet.variable(value, k, len(x)) for k, value in enumerate(x)])
    return result.value, result.parts


def forward_gradient(f: Callable[[Array], Array], x: Array) -> Array:
    """Gradient of a scalar function of x [n] by n Jacobian-vector products; `jax.grad` needs one backward pass.

    Formula: ∂f/∂x_k = jvp(f, x, e_k)
    Reference: Wengert, 1964
    """
    return jax.vmap(lambda direction: jax.jvp(f, (x,), (direction,))[1])(jnp.eye(x.size, dtype=x.dtype))


def hessian_product(f: Callable[[Any], Array], params: Any, direction: Any) -> Any:
    """Hessian of a scalar function times a direction with the structure of `params`; costs a few gradients.

    Formula: H v = ∂/∂t ∇f(θ + t v) at t = 0
    Reference: Pearlmutter, 1994
    """
    return jax.jvp(jax.grad(f), (params,), (direction,))[1]


def hessian(f: Callable[[Any], Array], params: Any) -> Array:
    """Full Hessian [n, n] over the flattened parameters, by n products: for small nets.

    Formula: H = [H e_1, …, H e_n]
    Reference: Pearlmutter, 1994
    """
    flat, restore = ravel_pytree(params)

    def column(direction: Array) -> Array:
        return hessian_product(lambda values: f(restore(values)), flat, direction)

    return jax.lax.map(column, jnp.eye(flat.size, dtype=flat.dtype))


def hessian_spectrum(f: Callable[[Any], Array], params: Any) -> np.ndarray:
    """Eigenvalues of the Hessian in ascending order; a saddle has both signs. Needs the full Hessian: for small nets.

    Formula: eigenvalues of (H + Hᵀ) / 2
    Reference: Dauphin et al., 2014
    """
    full = np.asarray(jax.jit(lambda p: hessian(f, p))(params), dtype=np.float64)
    return np.linalg.eigvalsh((full + full.T) / 2)


def lanczos_spectrum(f: Callable[[Any], Array], params: Any, key: Array, *, steps: int = 20) -> np.ndarray:
    """Ritz values of the Hessian in ascending order, by `steps` products; the extreme ones converge first.

    Each new direction is orthogonalized twice against all earlier ones, on the host in float64. Stops early when the
    directions span an invariant subspace.

    Formula: eigenvalues of T = Qᵀ H Q, Q an orthonormal basis of span(v, Hv, H²v, …)
    Reference: Lanczos, 1950; Ghorbani, Krishnan and Xiao, 2019
    """
    if steps < 1:
        raise ValueError(f"lanczos_spectrum: steps={steps} must be 1 or more; 20 is usual")
    flat, restore = ravel_pytree(params)
    product = jax.jit(lambda values, v: hessian_product(lambda p: f(restore(p)), values, v))
    v = np.array(jax.random.normal(key, flat.shape), dtype=np.float64)
    basis = np.zeros((0, flat.size))
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    v /= math.sqrt(v @ v)
    for _ in range(min(steps, flat.size)):
        basis = np.concatenate([basis, v[None]])
        w = np.array(product(flat, jnp.asarray(v, flat.dtype)), dtype=np.float64)
        diagonal.append(float(w @ v))
        for _ in range(2):
            w -= basis.T @ (basis @ w)
        size = math.sqrt(w @ w)
        # Rounding of the float32 products leaves a remainder; below it there is no new direction.
        if size < 1e-6 * max(1e-30, *map(abs, diagonal), *off_diagonal):
            break
        off_diagonal.append(size)
        v = w / size
    n = len(diagonal)
    beside = off_diagonal[: n - 1]
    return np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
