"""Do bigger nets overfit without regularization?

    .venv/bin/lanes reproduce capacity

Expected: not decided at this n; error with right labels, 512 units less 128: -0.0017 ± 0.0065 (n = 10); right labels,
512 units less the same with L2: -0.012 ± 0.011 (n = 10); 30% random labels, 512 units less 8: -0.002 ± 0.032 (n = 10);
30% random labels, 512 units less the same with L2: 0.067 ± 0.024 (n = 10) (about 50 s of processor time).

Source: Abad, Introducción al Deep Learning; Belkin et al., Reconciling modern machine learning practice (2019).
"""

import matplotlib.pyplot as plt
import pandas as pd

from lanes import Digits, Interval, Results, Run, Verdict, grid
from nets import MLP

BASE = Run(train_examples=400, net=MLP(widths=(2,)), learning_rate=3e-3, batch_size=20, epochs=60, eval_every=60)
LABELS, WIDTHS = {"right labels": 0.0, "30% random labels": 0.3}, (2, 8, 32, 128, 512)
WAYS = {"without L2": "0.0", "with L2": "0.001|0.003|0.01"}


def sweep() -> list[Run]:
    """Labels x widths x no L2 and three strengths x 10 seeds, of which there were 3 at a first look."""
    data, widths = [Digits(label_noise=noise) for noise in LABELS.values()], [(width,) for width in WIDTHS]
    return grid(BASE, {"data": data, "net.widths": widths}, l2=[0.0, 1e-3, 3e-3, 1e-2], seed=range(10))


def errors(results: Results, noise: float, l2: str) -> tuple[pd.DataFrame, int]:
    """Test error, a row for each seed, a column for each width; the width below 512 that validation prefers."""
    rows = results.where(f"data.label_noise={noise}", f"l2={l2}").astype({"net.widths": int})
    valid = rows.groupby(["net.widths", "l2"]).valid_accuracy.mean()
    test = rows.pivot(index="seed", columns=["net.widths", "l2"], values="test_accuracy")
    return 1 - test[valid.groupby("net.widths").idxmax()].droplevel("l2", axis=1), valid.drop(512).idxmax()[0]


def verdict(results: Results) -> Verdict:
    """Holds if without L2 512 units err more, and L2 mends that; fails if they err at most a point more, all labels."""
    numbers: dict[str, Interval] = {}
    for label, noise in LABELS.items():
        (plain, best), (shrunk, _) = (errors(results, noise, l2) for l2 in WAYS.values())
        numbers[f"{label}, 512 units less {best}"] = Interval.of(plain[512] - plain[best])
        numbers[f"{label}, 512 units less the same with L2"] = Interval.of(plain[512] - shrunk[512])
    worse, mended = [*numbers.values()][::2], [*numbers.values()][1::2]
    holds = [one.low > 0 and other.low > 0 for one, other in zip(worse, mended)]
    mixed = "does not hold" if all(one.high < 0.01 for one in worse) else "not decided at this n"
    sentence = f"error with {'; '.join(f'{name}: {value}' for name, value in numbers.items())}"
    return Verdict("holds" if all(holds) else "holds only when" if any(holds) else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test error against width, with and without L2."""
    drawing, both = plt.subplots(1, 2, figsize=(5.6, 3.2), layout="constrained", sharey=True)
    for axes, (label, noise) in zip(both, LABELS.items()):
        for name, l2 in WAYS.items():
            found = [Interval.of(column) for _, column in errors(results, noise, l2)[0].items()]
            axes.errorbar(range(5), [one.mean for one in found], [one.half for one in found], capsize=2, label=name)
        axes.set(xticks=range(5), xticklabels=WIDTHS, xlabel="hidden units", ylabel=f"error, {label}", ylim=(0, 0.9))
    both[1].legend(title="on the test set, 10 seeds")
    return drawing
