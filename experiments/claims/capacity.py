"""Do bigger nets overfit without regularization?

    .venv/bin/lanes reproduce capacity

Expected: does not hold; with right labels 512 units are best, and L2 takes -0.007 ± 0.056 (n = 3) off the error of 512;
with 30% random labels 512 units are best, and L2 takes 0.072 ± 0.073 (n = 3) off the error of 512 (about 60 s of
processor time).

Source: Abad, Introducción al Deep Learning; Belkin et al., Reconciling modern machine learning practice (2019).
"""

import matplotlib.pyplot as plt
import pandas as pd

from lanes import Digits, Interval, Results, Run, Verdict, grid
from nets import MLP

BASE = Run(train_examples=400, net=MLP(widths=(2,)), learning_rate=3e-3, batch_size=20, epochs=60, eval_every=60)
LABELS, WIDTHS, STRENGTHS = {"right labels": 0.0, "30% random labels": 0.3}, (2, 8, 32, 128, 512), (1e-3, 3e-3, 1e-2)


def sweep() -> list[Run]:
    """Labels x widths x no L2 and three strengths x seeds."""
    data, widths = [Digits(label_noise=noise) for noise in LABELS.values()], [(width,) for width in WIDTHS]
    return grid(BASE, {"data": data, "net.widths": widths}, l2=[0.0, *STRENGTHS], seed=range(3))


def errors(results: Results, noise: float, is_regularized: bool) -> tuple[pd.DataFrame, int]:
    """Test error, a row for each seed, a column for each width; and the width of the lowest validation error."""
    rows = results.runs[(results.runs["data.label_noise"] == noise) & ((results.runs.l2 > 0) == is_regularized)]
    rows = rows.assign(width=rows["net.widths"].astype(int), valid=1 - rows.valid_accuracy, test=1 - rows.test_accuracy)
    valid = rows.groupby(["width", "l2"]).valid.mean()
    chosen = [rows[(rows.width == width) & (rows.l2 == l2)] for width, l2 in valid.groupby("width").idxmin()]
    return pd.concat(chosen).pivot(index="seed", columns="width", values="test"), valid.idxmin()[0]


def verdict(results: Results) -> Verdict:
    """Holds if without L2 the widest net errs more than the width chosen on validation, and L2 mends that."""
    numbers, holds, fails, said = {}, [], [], []
    for label, noise in LABELS.items():
        (plain, best), (shrunk, _) = (errors(results, noise, is_regularized) for is_regularized in (False, True))
        worse, mended = Interval.of(plain[512] - plain[best]), Interval.of(plain[512] - shrunk[512])
        holds, fails = [*holds, worse.low > 0 and mended.low > 0], [*fails, best == 512 or worse.high < 0]
        numbers |= {f"{label}, width chosen": best, f"{label}, 512 less chosen": worse, f"{label}, less by L2": mended}
        said.append(f"with {label} {best} units are best, and L2 takes {mended} off the error of 512")
    mixed = "holds only when" if any(holds) else "does not hold" if all(fails) else "not decided at this n"
    return Verdict("holds" if all(holds) else mixed, "; ".join(said), numbers)


def figure(results: Results) -> plt.Figure:
    """Test error against width, with and without L2."""
    drawing, both = plt.subplots(1, 2, figsize=(5.6, 3), layout="constrained", sharey=True)
    for axes, (label, noise) in zip(both, LABELS.items()):
        for name, is_regularized in (("without", False), ("with L2", True)):
            found = [Interval.of(column) for _, column in errors(results, noise, is_regularized)[0].items()]
            axes.errorbar(range(5), [one.mean for one in found], [one.half for one in found], capsize=2, label=name)
        axes.set(xticks=range(5), xticklabels=WIDTHS, xlabel="hidden units", title=label)
    both[0].set(ylabel="test error", ylim=(0, None))
    both[1].legend()
    return drawing
