"""Does batch normalization tolerate larger rates, and make training "more dependant on initialization"?

    .venv/bin/lanes reproduce batch_norm_and_initialization

Each net keeps the rate that validation chooses at He's scale; dependence is the accuracy that other scales cost. A net
trains if its test accuracy reaches 0.9; one that diverges counts as guessing. A first run was judged by the spread of
accuracies over scales, which is small too for a net that fails at all of them, and decided nothing.

Expected: does not hold; rates up to 3 train with it, not 0.3; 10 of 13 initial scales train, not 2, and scales other
than He's cost 0.651 ± 0.045 (n = 3) less accuracy (about 60 s of processor time).

Source: a lecture of 2018 on neural networks; Ioffe and Szegedy (2015), "be less careful about initialization".
"""

import matplotlib.pyplot as plt
import pandas as pd

from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP

RATES, SCALES = [0.003 * 10 ** (at / 3) for at in range(11)], [2.0**at for at in range(-6, 7)]
BASE = Run(data="digits", net=MLP(widths=(64,) * 5), optimizer="sgd", epochs=10, eval_every=10)


def sweep() -> list[Run]:
    """Batch normalization or none x rates x initial scales x seeds."""
    return grid(BASE, {"net.norm": [None, "batch_norm"]}, learning_rate=RATES, init_scale=SCALES, seed=range(3))


def accuracies(results: Results, norm: bool) -> list[pd.DataFrame]:
    """Test accuracy, a row per seed: at He's scale by rate, and by scale at the rate that validation chooses at He's."""
    runs = results.runs[results.runs["net.norm"].notna() == norm].fillna({"valid_accuracy": 0.1, "test_accuracy": 0.1})
    best = runs[runs.init_scale == 1].groupby("learning_rate").valid_accuracy.mean().idxmax()
    tables = {"learning_rate": runs[runs.init_scale == 1], "init_scale": runs[runs.learning_rate == best]}
    return [table.pivot(index="seed", columns=by, values="test_accuracy") for by, table in tables.items()]


def verdict(results: Results) -> Verdict:
    """Holds if it trains at larger rates, and other scales than He's cost more with it; does not if they cost less."""
    (rate, scale), (rate_bn, scale_bn) = (accuracies(results, norm) for norm in (False, True))
    largest, largest_bn = ((one >= 0.9).mul(one.columns).max(axis=1).mean() for one in (rate, rate_bn))
    cost, cost_bn = (one[1.0] - one.drop(columns=1.0).mean(axis=1) for one in (scale, scale_bn))
    count, count_bn = (Interval.of((one >= 0.9).sum(axis=1)) for one in (scale, scale_bn))
    less, numbers = Interval.of(cost - cost_bn), {"largest rate, without": largest, "largest rate, with": largest_bn}
    numbers |= {"of 13 scales train, without": count, "of 13 scales train, with": count_bn, "gain": less}
    sentence = f"rates up to {largest_bn:.2g} train with it, not {largest:.2g}; {count_bn.mean:.2g} of 13 initial"
    sentence += f" scales train, not {count.mean:.2g}, and scales other than He's cost {less} less accuracy"
    decided = "does not hold" if less.low > 0 or largest_bn <= largest else "holds"
    return Verdict("not decided at this n" if less.low < 0 < less.high else decided, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test accuracy by initial scale, means and ranges of seeds."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for norm, label, x, y in ((False, "without batch norm", 2.3, 0.13), (True, "with batch norm", 1 / 48, 0.88)):
        scales = accuracies(results, norm)[1]
        (line,) = axes.semilogx(scales.columns, scales.mean(), ".-", base=2)
        axes.fill_between(scales.columns, scales.min(), scales.max(), alpha=0.3, linewidth=0)
        axes.text(x, y, label, color=line.get_color(), fontsize=9)
    axes.set(xlabel="initial scale, times He's", ylabel="test accuracy", ylim=(0, 1.02), title="Five layers, 3 seeds")
    return drawing
