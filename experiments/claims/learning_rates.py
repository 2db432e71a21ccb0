"""Is SGD slow at a small learning rate, and does it saturate units or diverge at a large one?

    .venv/bin/lanes reproduce learning_rates

Small and large are the ends of 16 rates. A ReLU that is 0 for all examples counts as saturated, a diverged run wholly.
A first run took the losses of the epochs of best validation loss in place of the last.

Expected: holds; relu: loss at 1e-4 is 920 times that at 0.4, at 100 99% of units saturate, 2 of 5 nets diverge; tanh: loss
at 1e-4 is 1019 times that at 1, at 100 100% of units saturate, 0 of 5 nets diverge
(about 18 s of processor time).

Source: Abad, "Introducción al Deep Learning" and "Deep Learning": the choice of the rate.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Interval, Results, Run, Verdict, diagnose, grid
from nets import MLP

BASE = Run(data="digits", net=MLP(widths=(64, 64)), optimizer="sgd", initializer="he_normal", batch_size=64, epochs=20)


def sweep() -> list[Run]:
    """Units x rates x seeds, in one program."""
    return grid(BASE, activation=["tanh", "relu"], learning_rate=[*np.logspace(-4, 2, 16).round(6)], seed=range(5))


def measure(results: Results) -> pd.DataFrame:
    """Batch losses of epochs 10 and 20, infinite if diverged, and the share of hidden units that ends saturated."""
    losses = results.curves.pivot(index="run_id", columns="epoch", values="batch_loss")[[10, 20]].add_prefix("loss_")
    runs = results.runs.set_index("run_id")[["activation", "learning_rate", "seed"]].join(losses)
    found = diagnose(results.directory, "activations", run_ids=[*runs.index[runs.loss_20.notna()]], epoch="last")
    shares = found["activations"].query("layer != 'output'").groupby("run_id")[["saturated", "dead"]].mean()
    runs = runs.join(shares).fillna({"loss_20": np.inf, "saturated": 1.0, "dead": 1.0}).reset_index(drop=True)
    return runs.assign(saturated=runs.saturated.where(runs.activation == "tanh", runs.dead)).drop(columns="dead")


def verdict(results: Results) -> Verdict:
    """Holds if losses at both ends are above the best, the small rate's falls, and the large one saturates most units."""
    numbers, words, states = dict[str, Interval](), [], []
    for unit, part in results.measured.groupby("activation"):
        table = part.pivot(index="seed", columns="learning_rate", values=["loss_10", "loss_20", "saturated"])
        loss, best, full = np.log10(table.loss_20), table.loss_20.mean().idxmin(), Interval.of(table.saturated[100])
        slow, fall = Interval.of(loss[1e-4] - loss[best]), Interval.of(np.log10(table.loss_10[1e-4]) - loss[1e-4])
        margins = (
            (slow.mean, slow.half),
            (fall.mean, fall.half),
            (full.mean - 0.5, full.half),
            (min(loss[100] - loss[best]), 0),
        )
        states.append(min(np.sign(mean) * (abs(mean) > half) for mean, half in margins))
        gone = np.isinf(loss[100]).sum()
        words.append(
            f"{unit}: loss at 1e-4 is {10**slow.mean:.0f} times that at {best:.1g}, at 100 {full.mean:.0%} of units"
        )
        words[-1] += f" saturate, {gone} of 5 nets diverge"
        numbers |= {f"{unit}, log10(loss at 1e-4 / at best)": slow, f"{unit}, saturated at 100": full}
    some = "not decided at this n" if 0 in states else "holds only when" if 1 in states else "does not hold"
    return Verdict("holds" if min(states) == 1 else some, "; ".join(words), numbers)


def figure(results: Results) -> plt.Figure:
    """Training loss and saturation against the rate."""
    drawing, both = plt.subplots(2, 1, sharex=True, figsize=(5, 3.2), layout="constrained")
    groups = results.measured.replace(np.inf, np.nan).groupby(["learning_rate", "activation"])
    for axes, name, is_loss in zip(both, ("loss_20", "saturated"), (True, False), strict=True):
        half = groups[name].agg(lambda values: Interval.of(values).half).unstack()
        groups[name].mean().unstack().plot(ax=axes, yerr=half, logx=True, logy=is_loss, legend=is_loss)
        axes.set(xlabel="learning rate", ylabel="training loss" if is_loss else "share saturated")
    drawing.suptitle("SGD on the digits, 20 epochs (n = 5)")
    return drawing
