"""Does early stopping need patience, or may it stop as soon as the validation loss is not lower than before?

    .venv/bin/lanes reproduce patience

Expected: holds; without and with dropout, patience 1 stops 100% and 100% of runs prematurely, 50 0% and 5%; patience 1
adds 0.014 ± 0.011 (n = 20) and 0.036 ± 0.012 (n = 20) to the test loss (about 18 s of processor time).

Source: Prechelt, Early Stopping, But When? (1998); Abad, Introducción al Deep Learning.
"""

import matplotlib.pyplot as plt
import pandas as pd

from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP

BASE = Run(train_examples=200, net=MLP(widths=(128,)), learning_rate=3e-3, batch_size=20, epochs=100)
PATIENCE, NETS = (1, 2, 5, 10, 20, 50), {"no dropout": 0.0, "dropout 0.5": 0.5}


def sweep() -> list[Run]:
    """Two nets x patience, and none, x 20 seeds."""
    return grid(BASE, dropout=NETS.values(), patience=[*PATIENCE, None], seed=range(20))


def stopped(results: Results, rate: float) -> pd.DataFrame:
    """Stopped runs; premature: the run without stopping has a lower validation loss by epoch 100; lost: test loss."""
    rows = results.runs[results.runs.dropout == rate].set_index("seed")
    whole, rows = rows[rows.patience.isna()], rows[rows.patience.notna()]
    premature = (rows.valid_loss > 1.0001 * whole.valid_loss.reindex(rows.index)).astype(float)
    return rows.assign(premature=premature, lost=rows.test_loss - whole.test_loss.reindex(rows.index))


def verdict(results: Results) -> Verdict:
    """Holds if patience 1 stops prematurely more often than patience 50, and adds to the test loss, in both nets."""
    numbers: dict[str, Interval] = {}
    for name, rate in NETS.items():
        waits = dict(iter(stopped(results, rate).groupby("patience")))
        numbers |= {f"{name}, premature at {wait}": Interval.of(rows.premature) for wait, rows in waits.items()}
        numbers[f"{name}, 1 against 50"] = Interval.of(waits[1].premature - waits[50].premature)
        numbers[f"{name}, test loss added by 1"] = Interval.of(waits[1].lost)
    pairs = [[numbers[f"{name}, {what}"] for what in ("1 against 50", "test loss added by 1")] for name in NETS]
    holds = [more.mean > more.half and lost.low > 0 for more, lost in pairs]
    once, last = (" and ".join(f"{numbers[f'{name}, premature at {at}'].mean:.0%}" for name in NETS) for at in (1, 50))
    sentence = f"without and with dropout, patience 1 stops {once} of runs prematurely, 50 {last}; patience 1 adds "
    sentence += " and ".join(str(numbers[f"{name}, test loss added by 1"]) for name in NETS) + " to the test loss"
    mixed = "does not hold" if all(lost.high < 0 for _, lost in pairs) else "not decided at this n"
    return Verdict("holds" if all(holds) else "holds only when" if any(holds) else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Share of premature stops against patience."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for name, rate in NETS.items():
        shares = [Interval.of(rows.premature) for _, rows in stopped(results, rate).groupby("patience")]
        low, high = [min(s.half, s.mean) for s in shares], [min(s.half, 1 - s.mean) for s in shares]
        axes.errorbar(range(6), [s.mean for s in shares], [low, high], marker="o", capsize=2, label=name)
    axes.set(xticks=range(6), xticklabels=PATIENCE, xlabel="patience in epochs", ylabel="share of premature stops")
    axes.legend(title="20 nets on 200 digits")
    return drawing
