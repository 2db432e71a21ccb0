"""Does a fast-gradient-sign step of a few grey levels flip a net's predictions, where noise of that size does not?

    .venv/bin/lanes reproduce adversarial_examples

Expected: holds; 2 of 16 grey levels flip 0.635 ± 0.016 (n = 10) of right predictions, with random signs 0.0200 ± 0.0070
(n = 10); half a level 0.0732 ± 0.0075 (n = 10) (about 17 s of processor time).
Source: CS231n (2016), lecture 9; Goodfellow, Shlens and Szegedy (2015).
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import optax
import pandas as pd

import lanes
from lanes import Results, Run, Verdict, grid
from lanes.analysis import attacks
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64,)), learning_rate=3e-3, batch_size=64, epochs=20)


def sweep() -> list[Run]:
    """Ten nets that differ in their seed."""
    return grid(BASE, seed=range(10))


def measure(results: Results) -> pd.DataFrame:
    """The share of right predictions that turn wrong as each pixel moves by some grey levels, within black and white."""
    loss, data, rows = optax.softmax_cross_entropy_with_integer_labels, lanes.Digits().load(), []
    assert data.test is not None
    x, y = (jnp.asarray(data.test.x, jnp.float32) - data.offset) * data.scale, jnp.asarray(data.test.y)
    signs = jax.random.rademacher(jax.random.key(0), x.shape, x.dtype)
    for seed, (net, variables) in enumerate(lanes.restore(results.directory, results.runs.sort_values("seed").run_id)):
        outputs = jax.jit(lambda at, net=net, variables=variables: net.apply(variables, at, train=False))
        for size in (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4):
            levels = (jnp.asarray(level * data.scale) for level in (size, -data.offset, 16 - data.offset))
            ball = attacks.Ball(*levels)
            moved = attacks.fgsm(outputs, loss, x, y, ball), jnp.clip(x + ball.epsilon * signs, *ball[1:])
            right = [outputs(at).argmax(-1) == y for at in (x, *moved)]
            rows.append((size, seed, *(1 - float(jnp.mean(now[right[0]])) for now in right[1:])))
    return pd.DataFrame(rows, columns=["size", "seed", "along the gradient", "at random"])


def verdict(results: Results) -> Verdict:
    """Holds if 2 levels along the gradient's sign flip more than half, and with random signs less than a tenth of that."""
    tables = {size: Results(results.directory, runs=rows) for size, rows in results.measured.groupby("size")}
    found = {f"{e:g}, {way}": tables[e].mean(way) for way in list(results.measured)[2:] for e in (0.5, 1, 2, 4)}
    half, two, noise = (found[name] for name in ("0.5, along the gradient", "2, along the gradient", "2, at random"))
    sentence = f"2 of 16 grey levels flip {two} of right predictions, with random signs {noise}; half a level {half}"
    holds, fails = two.low > max(0.5, 10 * noise.high), two.high < 0.5
    return Verdict("holds" if holds else "does not hold" if fails else "not decided at this n", sentence, found)


def figure(results: Results) -> plt.Figure:
    """Flipped predictions against the size of the step."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    by_size = results.measured.drop(columns="seed").groupby("size")
    by_size.mean().plot(ax=axes, yerr=2.262 * by_size.sem(), marker=".", capsize=2)  # Student's t, n = 10
    axes.set(xlabel="change of each pixel, of 16 grey levels", ylabel="flipped predictions", title="Digits, 10 nets")
    return drawing
