"""Are critical points of high loss saddles, the more so the higher the loss, and are minima near the lowest loss?

    .venv/bin/lanes reproduce saddles

Critical points are where Newton's method, in steps of length 1 at most, ends with a gradient below 1e-10, from stages of the
training of a net with 33 parameters, as they are and with noise. An eigenvalue of the Hessian is negative below -1e-6 of the
largest. High means nearer to the loss log 2 of guessing than to the lowest; minima are near within a tenth of this range.
The penalty keeps critical points finite. The search was least squares at first, which converged from a sixth of the starts.

Expected: holds; 77% of 62 critical points are saddles, 100% of those of high loss; the share of negative eigenvalues
has a rank correlation of 0.897 ± 0.093 (n = 10) with the loss; minima lie 0.037 ± 0.027 (n = 9) of the range above
the lowest loss (about 40 s of processor time).

Source: Krawiec, Sieci Neuronowe; Dauphin et al., Identifying and attacking the saddle point problem (2014).
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jax.flatten_util import ravel_pytree

from lanes import Interval, Results, Run, Spirals, Verdict, grid, restore
from nets import MLP

DATA = Spirals(n=250, valid_fraction=0.0, binary=True)
BASE = Run(data=DATA, net=MLP(widths=(8,)), activation="tanh", loss="sigmoid_cross_entropy", l2=1e-4, batch_size=200)


def sweep() -> list[Run]:
    """Stages of the same training x seeds."""
    return grid(BASE, learning_rate=[0.02], epochs=[10, 30, 100, 300, 1000, 3000], seed=range(10))


def measure(results: Results) -> pd.DataFrame:
    """Where Newton's method ends from each stage, without and with noise of 0.3 on the parameters."""
    data, random, rows = DATA.load(), np.random.default_rng(0), []
    x, y = ((data.train.x - data.offset) * data.scale).astype(float), np.reshape(data.train.y, (-1, 1)).astype(float)
    restored = restore(results.directory, [*results.runs.run_id], epoch="last")
    with jax.enable_x64(True):
        net, unravel = restored[0][0], ravel_pytree(jax.tree.map(np.float64, restored[0][1]))[1]

        def objective(flat: jax.Array) -> jax.Array:
            z = jnp.asarray(net.apply(unravel(flat), x, train=False))
            kernels = [leaf for leaf in jax.tree.leaves(unravel(flat)) if leaf.ndim == 2]
            return jnp.mean(jnp.logaddexp(0, z) - y * z) + BASE.l2 * ravel_pytree(kernels)[0] @ ravel_pytree(kernels)[0]

        loss, slope, hessian = (jax.jit(f) for f in (objective, jax.grad(objective), jax.hessian(objective)))
        for seed, variables, noise in [(s, r[1], e) for s, r in zip(results.runs.seed, restored) for e in (0.0, 0.3)]:
            point, steps = ravel_pytree(variables)[0] + noise * random.normal(size=33), 0
            while (size := float(np.linalg.norm(slope(point)))) > 1e-12 and (steps := steps + 1) <= 200:
                step = np.linalg.lstsq(hessian(point), -slope(point), rcond=1e-8)[0]
                point = point + step / max(1.0, float(np.linalg.norm(step)))
            values = np.linalg.eigvalsh(hessian(point))
            rows.append((seed, float(loss(point)), size, np.mean(values < -1e-6 * np.abs(values).max())))
    return pd.DataFrame(rows, columns=["seed", "loss", "gradient", "negative"])


def verdict(results: Results) -> Verdict:
    """Holds if, over seeds, most high ones are saddles, negative shares and losses rank alike, and minima are near."""
    points = results.measured.query("gradient < 1e-10")
    points = points.assign(height=(points.loss - points.loss.min()) / (np.log(2) - points.loss.min()))
    minima, high = points.query("negative == 0"), points.query("height > 0.5")
    saddles = Interval.of((high.negative > 0).groupby(high.seed).mean())
    rank = Interval.of(part.negative.corr(part.loss, method="spearman") for _, part in points.groupby("seed"))
    near = Interval.of(minima.groupby("seed").height.mean())
    holds = [saddles.mean - saddles.half > 0.5, rank.mean - rank.half > 0, near.mean + near.half < 0.1]
    fails = [saddles.mean + saddles.half < 0.5, rank.mean + rank.half < 0, near.mean - near.half > 0.1]
    why = f"{1 - len(minima) / len(points):.0%} of {len(points)} critical points are saddles, {saddles.mean:.0%} of "
    why += f"those of high loss; the share of negative eigenvalues has a rank correlation of {rank} with the loss; "
    why += f"minima lie {near} of the range above the lowest loss"
    mixed = "does not hold" if all(fails) else "not decided at this n"
    numbers = {"share of saddles among high points": saddles, "rank correlation": rank, "height of minima": near}
    return Verdict("holds" if all(holds) else "holds only when" if any(holds) else mixed, why, numbers)


def figure(results: Results) -> plt.Figure:
    """Share of negative eigenvalues against the loss, a mark for each critical point."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for name, mark, sign in (("saddles", ".", ">"), ("minima", "o", "==")):
        part = results.measured.query(f"gradient < 1e-10 and negative {sign} 0")
        axes.plot(part.loss, part.negative, mark, alpha=0.6, label=f"{len(part)} {name}")
    axes.axvline(np.log(2), color="gray", linestyle=":", label="loss of guessing")
    axes.set(xlabel="loss, with its penalty", ylabel="share of negative eigenvalues", ylim=(-0.015, 0.45))
    axes.legend(title="critical points, 33 parameters", loc="upper left")
    return drawing
