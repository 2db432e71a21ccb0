"""Does one hidden layer approximate a continuous function the better the wider it is, and do two need fewer units?

    .venv/bin/lanes reproduce universal_approximation

The plateau is one of training: least squares in float64 for the output of 32 units leave about 7e-08.

Expected: not decided at this n; error of 8 over 4, polynomial 0.051 (0.023 to 0.11); 8 over 4, sine 0.2 (0.11 to 0.36);
32 over 8, polynomial 1.2 (0.59 to 2.3); 32 over 8, sine 0.91 (0.67 to 1.2); 8,8 over 32, polynomial 0.54 (0.39 to
0.76); 8,8 over 32, sine 1 (0.71 to 1.5) (about 110 s of processor time).

Source: Cybenko (1989); Abad, Introducción al Deep Learning, on representational power.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from lanes import Interval, Metric, Polynomial, Results, Run, Sine, Verdict, grid
from nets import MLP

DATA = [Sine(n=1000, noise=0.0, test_fraction=0.5), Polynomial(degree=5, n=1000, noise=0.0, test_fraction=0.5)]
NETS = {"4": MLP((4,)), "8": MLP((8,)), "16": MLP((16,)), "32": MLP((32,)), "8,8": MLP((8, 8))}
BASE = Run(data=DATA[0], loss="squared_error", activation="tanh", initializer="xavier_normal", optimizer="lbfgs")


def sup(prediction: jnp.ndarray, target: jnp.ndarray) -> jnp.ndarray:
    """The largest error on the test set, 500 points of [-1, 1]."""
    return jnp.max(jnp.abs(prediction - target))


def sweep() -> list[Run]:
    """Curves x nets x 20 seeds, of which there were 5 at a first look."""
    way = {"learning_rate": [1.0], "batch_size": [450], "steps": [500], "eval_every": [500], "net": NETS.values()}
    return grid(BASE, way, data=DATA, metrics=[(Metric(sup, False, over="set"),)], seed=range(20))


def verdict(results: Results) -> Verdict:
    """Holds if 8 units err less than 4, 32 than 8, 8 + 8 than 32; fails if one of these is reversed on both curves."""
    log = np.log2(results.runs.pivot(index=["data", "seed"], columns="net.widths", values="test_sup"))
    numbers: dict[str, Interval] = {}
    for a, b in (("8", "4"), ("32", "8"), ("8,8", "32")):
        numbers |= {f"{a} over {b}, {curve}": Interval.of(part) for curve, part in (log[a] - log[b]).groupby("data")}
    less, more = ([sign * one.mean > one.half for one in numbers.values()] for sign in (-1, 1))
    said = (f"{name} {2**one.mean:.2g} ({2**one.low:.2g} to {2**one.high:.2g})" for name, one in numbers.items())
    mixed = "holds only when" if all(np.logical_or(less, more)) else "not decided at this n"
    outcome = "does not hold" if any(map(all, zip(more[::2], more[1::2]))) else mixed
    return Verdict("holds" if all(less) else outcome, f"error of {'; '.join(said)}", numbers)


def figure(results: Results) -> plt.Figure:
    """Largest error of each net: geometric mean over seeds and its interval."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, (label, data) in enumerate({"sin 2πx": "sine", "Chebyshev's T₅": "polynomial"}.items()):
        error = results.where(f"data={data}").pivot(index="seed", columns="net.widths", values="test_sup")[[*NETS]]
        found, places = [Interval.of(log) for log in np.log10(error).to_numpy().T], np.arange(5) + 0.2 * at - 0.1
        axes.errorbar(places, [f.mean for f in found], [f.half for f in found], fmt=f"C{at}o", capsize=4, label=label)
    axes.set(xticks=range(5), xticklabels=["4", "8", "16", "32", "8 + 8"], xlabel="tanh units (8 + 8: two layers)")
    axes.set(ylabel="log₁₀ of the largest error", title="Nets fit to two curves, 20 seeds")
    axes.legend()
    return drawing
