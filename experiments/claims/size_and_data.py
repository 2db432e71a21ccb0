"""Do bigger nets gain more from more data?

    .venv/bin/lanes reproduce size_and_data

Expected: holds only when; the gain is counted in halvings: 128 units gain 1.15 ± 1.00 (n = 5) halvings of the error
more than 4, and -0.13 ± 0.17 (n = 5) of error more (about 30 s of processor time).

Source: Abad, Introducción al Deep Learning; Hestness et al., Deep Learning Scaling is Predictable, Empirically (2017).
"""

import matplotlib.pyplot as plt
import numpy as np

from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP

BASE = Run(net=MLP(widths=(4,)), learning_rate=3e-3, schedule="cosine", batch_size=30, steps=1500, eval_every=1000)
WIDTHS, SIZES = (4, 16, 128), (60, 180, 540, 1437)


def sweep() -> list[Run]:
    """Widths x 60 to all 1,437 digits x seeds, 1,500 steps each."""
    return grid(BASE, {"net.widths": [(width,) for width in WIDTHS]}, train_examples=SIZES, seed=range(5))


def error(results: Results, width: int, size: int) -> np.ndarray:
    """Test error of each seed, of 180 digits with half a wrong one in addition, so that none has no logarithm."""
    return (180 * (1 - results.values("test_accuracy", f"net.widths={width}", f"train_examples={size}")) + 0.5) / 181


def verdict(results: Results) -> Verdict:
    """Holds if the biggest net gains more than the smallest however the gain is counted; conditionally, if in one way."""
    few, many = ({width: error(results, width, size) for width in WIDTHS} for size in (SIZES[0], SIZES[-1]))
    points, halvings = {w: few[w] - many[w] for w in WIDTHS}, {w: np.log2(few[w] / many[w]) for w in WIDTHS}
    more = [Interval.of(points[128] - points[4]), Interval.of(halvings[128] - halvings[4])]
    numbers = {f"{width} units, fall of the error": Interval.of(points[width]) for width in WIDTHS}
    numbers |= {f"{width} units, halvings of the error": Interval.of(halvings[width]) for width in WIDTHS}
    numbers |= {"128 units less 4, fall of the error": more[0], "128 units less 4, halvings": more[1]}
    won, is_open = sum(one.low > 0 for one in more), any(one.low <= 0 <= one.high for one in more)
    said = f"128 units gain {more[1]} halvings of the error more than 4, and {more[0]} of error more"
    said = f"the gain is counted in {'halvings' if more[1].low > 0 else 'differences'}: {said}" if won == 1 else said
    mixed = "holds only when" if won else "not decided at this n" if is_open else "does not hold"
    return Verdict("holds" if won == 2 else mixed, said, numbers)


def figure(results: Results) -> plt.Figure:
    """Test error against the number of training examples, for each width."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for width in WIDTHS:
        errors = [Interval.of(np.log(error(results, width, size))) for size in SIZES]
        mean, ends = np.exp([one.mean for one in errors]), np.exp([[one.low, one.high] for one in errors]).T
        axes.errorbar(SIZES, mean, abs(ends - mean), marker="o", capsize=2, label=f"{width} hidden units")
    axes.loglog()
    axes.set(xticks=SIZES, xticklabels=SIZES, xlabel="training examples", ylabel="test error")
    axes.set(title="Digits, 5 seeds", yticks=[0.02, 0.05, 0.1, 0.2, 0.5], yticklabels=["2%", "5%", "10%", "20%", "50%"])
    axes.minorticks_off()
    axes.legend()
    return drawing
