"""Draws every activation with its derivative.

    .venv/bin/python scripts/figures/activations.py                writes docs/activations.png, in about 10 s
    .venv/bin/python scripts/figures/activations.py --out FILE     writes FILE (.png, .svg or .pdf)

Derivatives are JAX's, so the value at a kink is the one that training uses.
"""

import argparse
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jax import Array

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from nets.activations import ACTIVATIONS, Activation, Maxout, Swish

COLUMNS = 6
VALUE, DERIVATIVE = "#1f5fa8", "#d1603d"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "activations.png"

# Activations of several numbers are drawn along a line: softmax as the first of two outputs with the other logit at 0,
# maxout with the pieces z and -z/2.
ALONG_A_LINE: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "softmax": ("softmax(z, 0)₁", lambda z: ACTIVATIONS["softmax"](jnp.stack([z, jnp.zeros_like(z)], axis=-1))[..., 0]),
    "maxout": ("maxout(z, -z/2)", lambda z: Maxout(2)(jnp.stack([z, -z / 2], axis=-1))[..., 0]),
}
WIDE = {"sinc": 12.0, "relu6": 9.0}  # half-width of the interval, if ±4 does not show the shape


def title(name: str, activation: Activation) -> str:
    """The name in the table, with the default parameters of a description."""
    if name in ALONG_A_LINE:
        return ALONG_A_LINE[name][0]
    if name == "silu" and activation == Swish():
        return "silu (= swish)"
    if not is_dataclass(activation):
        return name
    values = {f.name: getattr(activation, f.name) for f in fields(activation)}
    return f"{name} ({', '.join(f'{k}={v}' for k, v in values.items() if not isinstance(v, bool))})"


def curves(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value and derivative of the activation at z [N]."""
    activation = ALONG_A_LINE[name][1] if name in ALONG_A_LINE else ACTIVATIONS[name]
    points = jnp.asarray(z, jnp.float32)
    value, derivative = jax.jvp(activation, (points,), (jnp.ones_like(points),))
    return np.asarray(value), np.asarray(derivative)


def with_gaps(z: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values with NaN at jumps, so that no line is drawn across them."""
    jumps = np.abs(np.diff(values)) > 20 * np.median(np.diff(z))
    return np.where(np.append(jumps, False), np.nan, values)


def draw(axes: Axes, name: str, activation: Activation) -> None:
    half = WIDE.get(name, 4.0)
    z = np.linspace(-half, half, 1601)
    value, derivative = curves(name, z)
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.plot(z, with_gaps(z, value), color=VALUE, linewidth=2.4)
    axes.plot(z, with_gaps(z, derivative), color=DERIVATIVE, linewidth=1.4, linestyle=(0, (4, 1.5)))
    axes.set_title(title(name, activation), fontsize=10)
    axes.set_xlim(-half, half)
    low, high = min(value.min(), derivative.min(), -0.2), max(value.max(), derivative.max(), 1.2)
    axes.set_ylim(max(low, -2.2) - 0.1, min(high, 3.2 if name != "relu6" else 7.0) + 0.1)
    axes.tick_params(labelsize=7, color="0.7", labelcolor="0.4")
    for side in axes.spines.values():
        side.set_color("0.8")


def page() -> plt.Figure:
    rows = -(-len(ACTIVATIONS) // COLUMNS)
    figure, grid = plt.subplots(rows, COLUMNS, figsize=(2.6 * COLUMNS, 2.35 * rows), layout="constrained")
    for axes, (name, activation) in zip(grid.flat, ACTIVATIONS.items()):
        draw(axes, name, activation)
    for axes in grid.flat[len(ACTIVATIONS) :]:
        axes.set_visible(False)
    figure.suptitle("Activations: value (blue, solid) and derivative (red, dashed) over z", fontsize=13)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PAGE, help="the figure to write (default: docs/activations.png)")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    # Without Matplotlib's version in its metadata, the file depends only on the curves.
    page().savefig(out, dpi=110, metadata={"Software": None} if out.suffix == ".png" else None)
    print(out)


if __name__ == "__main__":
    main()
