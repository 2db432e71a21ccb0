"""Do numerical, symbolic, forward and reverse differentiation agree, and which costs grow with the number of inputs?

    .venv/bin/lanes reproduce differentiation

Costs are counted operations of f = tanh(mean of x sin x) and its derivatives. Errors are to be below 1e-7 in float64 at the
best step; of float32, whose differences are 1e-4 off, nothing is asked, which was settled after a first run.

Expected: holds; 10,000 derivatives cost 3 f by reverse mode, 2.3e+04 f by forward mode, 6e+04 f by differences; errors
4e-16, of differences 3e-10, in float32 0.0001 (about 3 s of processor time).
Source: CS231n (2016), lecture 4, whose notes call a relative error of 1e-7 good; Griewank and Walther (2008): at most 5 f.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Interval, Results, Verdict
from lanes.analysis import differentiation as by


def measure(_: Results) -> pd.DataFrame:
    """Operations of programs and formulas for n inputs; relative errors of ten derivatives, the largest, at five points."""
    import sympy as sp  # of the extra `test`

    f = lambda x: jnp.tanh(jnp.mean(x * jnp.sin(x)))  # noqa: E731
    rows, programs = [], {"f itself": f, "reverse mode": jax.grad(f), "forward mode": jax.jacfwd(f)}
    programs["differences"] = lambda x: jax.vmap(lambda step: (f(x + step) - f(x - step)) / 2)(jnp.eye(len(x)))
    for way, n in [(way, n) for way in programs for n in (1, 3, 10, 100, 1000, 10_000)]:
        cost = jax.jit(programs[way]).lower(jnp.zeros(n)).compile().cost_analysis() or {}
        rows.append((way, n, cost["flops"] + cost["transcendentals"]))
    for n in (1, 3, 10):
        slope, all = by.symbolic_gradient(lambda *x: sp.tanh(sum(a * sp.sin(a) for a in x) / len(x)), "abcdefghij"[:n])
        rows += [("symbols", n, sp.count_ops(all)), ("symbols, shared", n, sp.count_ops(sp.cse(all)))]
    with jax.enable_x64(True):
        for x in np.random.default_rng(0).normal(size=(5, 10)):
            true = (np.sin(x) + x * np.cos(x)) / 10 * (1 - np.tanh(np.mean(x * np.sin(x))) ** 2)
            new = [("exact", 0, np.array([jax.grad(f)(x), jax.jacfwd(f)(x), slope(*x)]))]
            new += [("differences", h, by.numerical_gradient(f, x, h=h)) for h in 0.1 ** np.arange(1, 12)]
            new += [("float32", h, by.numerical_gradient(lambda x: f(x.astype("f4")), x, h=h)) for _, h, _ in new[1:]]
            rows += [(f"log10 error, {way}", h, np.log10(np.abs(g / true - 1).max() + 1e-17)) for way, h, g in new]
    return pd.DataFrame(rows, columns=["way", "at", "value"])


def verdict(results: Results) -> Verdict:
    """Holds if float64's errors, at the best step, are below 1e-7 and reverse mode alone costs 5 f at most."""
    cost = results.measured.query("at == 10_000").set_index("way").value.pipe(lambda all: all / all["f itself"])
    errors = results.measured.query("at < 1").groupby(["way", "at"], sort=False).value.apply(Interval.of)
    best = {way: min(part, key=lambda one: one.mean) for way, part in errors.groupby("way", sort=False)}
    low, high = (max(one.mean + sign * one.half for one in [*best.values()][:2]) for sign in (-1, 1))
    bad = low > -7 or [one > 5 for one in cost] != [False, False, True, True]
    why = "10,000 derivatives cost {:.2g} f by reverse mode, {:.2g} f by forward mode, {:.2g} f by ".format(*cost[1:])
    sizes = (10**one.mean for one in best.values())
    why += "differences; errors {:.1g}, of differences {:.1g}, in float32 {:.1g}".format(*sizes)
    return Verdict("does not hold" if bad else "holds" if high < -7 else "not decided at this n", why, {**best, **cost})


def figure(results: Results) -> plt.Figure:
    """Operations against inputs."""
    costs = results.measured.query("at >= 1").pivot(index="at", columns="way", values="value").rename_axis(columns=None)
    axes = costs.plot(loglog=True, style=".-", figsize=(5, 3.2), xlabel="inputs", ylabel="operations")
    axes.set(title="All derivatives of tanh(mean of x sin x)", ylim=(1, 1e14), position=(0.13, 0.15, 0.84, 0.75))
    return axes.figure
