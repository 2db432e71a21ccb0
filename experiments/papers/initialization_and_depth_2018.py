"""Does a ReLU net's mean squared activation follow the exact factor per layer of its initializer, and does training too?

    .venv/bin/lanes reproduce initialization_and_depth_2018

A layer multiplies E‖h‖² by fan-in · Var[w] / 2, so only He's variance of 2 / fan-in keeps it at any depth. 1,000 nets for each
depth, as wide as deep; then epochs (of 60,000 examples) to 20% accuracy on MNIST. Not as in the paper: accuracy is measured on
the validation split, after each tenth of an epoch, for five of its initializers and depths up to 50.

Recorded on one GPU, in 3.4 minutes beside three other papers.

Expected: holds; factors per layer are within 0.4% of the exact ones; of 5 nets of 50 layers 5 start by He's weights
and 0 by LeCun's (about 520 s of processor time, beside one NVIDIA H100 80GB HBM3).

Published: factors 1 (He), 0.774 (He, truncated), 0.5 (LeCun), 2 (twice He) and 1/6 (uniform, ±1 / √fan-in) follow from its
equation; figure 1 shows nets of He's variance start at once at any depth, and the others later the deeper they are.

Source: Hanin and Rolnick (2018), figure 1; He et al. (2015).
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Interval, Results, Run, Verdict, grid
from nets import INITIALIZERS, MLP, FanInUniform


def he_truncated(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """N(0, 2 / fan-in), cut at two standard deviations and not corrected for the cut."""
    return (2 / shape[0]) ** 0.5 * jax.random.truncated_normal(key, -2, 2, shape, dtype)


def twice_he(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """N(0, 4 / fan-in)."""
    return (4 / shape[0]) ** 0.5 * jax.random.normal(key, shape, dtype)


DRAWN = {"He": INITIALIZERS["he_normal"], "He, truncated": he_truncated, "LeCun": INITIALIZERS["lecun_normal"]}
DRAWN |= {"twice He": twice_he, "uniform": FanInUniform()}
EXACT = {"He": 1.0, "He, truncated": 0.7737, "LeCun": 0.5, "twice He": 2.0, "uniform": 1 / 6}
NAMES = {"he_normal": "He", "he_truncated": "He, truncated", "lecun_normal": "LeCun", "twice_he": "twice He"}
NAMES["fan_in_uniform"] = "uniform"
DEPTHS, TRAINED = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50), (5, 10, 20, 30, 50)
STEPS: dict[str, Any] = {"batch_size": 100, "train_examples": 6000, "matmul_precision": "highest"}
BASE = Run(data="mnist", activation="relu", optimizer="sgd", learning_rate=0.01, **STEPS)


def sweep() -> list[Run]:
    """Depths (equal to widths) x initializers x seeds; an epoch is a tenth of the training set."""
    nets = [MLP(widths=(depth,) * depth, scanned=True) for depth in TRAINED]
    return grid(BASE, net=nets, initializer=list(DRAWN.values()), epochs=[50], seed=range(5))


def log_length(key: jax.Array, depth: int, drawn: Callable[..., jax.Array]) -> jax.Array:
    """log(‖h‖² / ‖x‖²) after `depth` layers of `depth` units; the length is taken out after each layer, so none underflows."""

    def layer(state: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        h, total = state
        h = jax.nn.relu(h @ drawn(key, (depth, depth)))
        length = jnp.maximum(jnp.linalg.norm(h), 1e-30)
        return (h / length, total + 2 * jnp.log(length)), None

    x = jax.random.normal(key, (depth,))
    start = (x / jnp.linalg.norm(x), jnp.zeros(()))
    return jax.lax.scan(layer, start, jax.random.split(key, depth))[0][1]


def measure(_: Results) -> pd.DataFrame:
    """log E‖h‖² / ‖x‖² of 1,000 nets by initializer and depth."""
    rows = []
    for name, drawn in DRAWN.items():
        for depth in DEPTHS:
            keys = jax.random.split(jax.random.key(depth), 1000)
            logs = np.asarray(jax.jit(jax.vmap(lambda key, d=depth, f=drawn: log_length(key, d, f)))(keys), float)
            rows.append((name, depth, float(np.logaddexp.reduce(logs) - np.log(len(logs)))))
    return pd.DataFrame(rows, columns=["initializer", "depth", "log"])


def factors(results: Results) -> dict[str, float]:
    """The measured factor per layer: exp of the slope of log E‖h‖² / ‖x‖² against depth, through the origin."""
    parts = results.measured.groupby("initializer")
    return {name: float(np.exp((part.log * part.depth).sum() / (part.depth**2).sum())) for name, part in parts}


def starts(results: Results) -> pd.DataFrame:
    """By initializer, depth and seed: epochs until 20% validation accuracy; NaN where five epochs do not suffice."""
    curves = results.curves.assign(depth=results.curves["net.widths"].str.count(",") + 1)
    curves["drawn"] = curves.initializer.str.split("[:.]").str[-1].replace(NAMES)
    reached = curves[curves.valid_accuracy >= 0.2].groupby(["drawn", "depth", "seed"]).epoch.min() / 10
    return reached.reindex(pd.MultiIndex.from_product([DRAWN, TRAINED, range(5)], names=["drawn", "depth", "seed"]))


def verdict(results: Results) -> Verdict:
    """Holds if all factors are within 2% of the exact ones, and at depth 50 nets start by He's and no other's by LeCun's."""
    found, first = factors(results), starts(results)
    worst = max(abs(found[name] / EXACT[name] - 1) for name in EXACT)
    he, lecun = (first[name, 50].notna().mean() for name in ("He", "LeCun"))
    sentence = (
        f"factors per layer are within {100 * worst:.1f}% of the exact ones; of 5 nets of 50 layers "
        f"{5 * he:.0f} start by He's weights and {5 * lecun:.0f} by LeCun's"
    )
    numbers: dict[str, Interval | float] = {f"{name}, factor (exact {EXACT[name]:.4g})": found[name] for name in EXACT}
    for name, depth in itertools.product(DRAWN, (10, 50)):
        if first[name, depth].notna().any():
            numbers[f"{name}, depth {depth}, epochs to 20%"] = Interval.of(first[name, depth])
    return Verdict("holds" if worst <= 0.02 and he > lecun else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """E‖h‖² against depth with the exact lines, and epochs to 20% accuracy."""
    drawing, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2), layout="constrained")
    first = starts(results)
    for at, (name, part) in enumerate(results.measured.groupby("initializer")):
        left.plot(part.depth, part.log / np.log(10), ".", color=f"C{at}")
        left.plot(part.depth, part.depth * np.log10(EXACT[name]), color=f"C{at}", linewidth=0.8)
        means = first[name].groupby("depth").agg(lambda values: values.mean() if values.notna().all() else np.nan)
        right.plot(means, ".-", color=f"C{at}", label=name)
    left.set(xlabel="depth = width", ylabel="log₁₀ E‖h‖² / ‖x‖²", title="1,000 nets (dots), exact (lines)")
    right.set(xlabel="depth = width", ylabel="epochs to 20%", title="MNIST, where all 5 nets start", ylim=(0, 5))
    right.legend(fontsize=7)
    return drawing
