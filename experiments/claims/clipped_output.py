"""Can an output unit max(0, min(1, z)) not be trained by its gradient where z starts outside [0, 1], and can a sigmoid?

    .venv/bin/lanes reproduce clipped_output

The sigmoid has cross-entropy and the clipped unit squared error, each with its best of three rates. After a first run,
in which all seeds had one data set and equal accuracies, each seed draws its own; bars in the picture are extremes.

Expected: holds; started with z outside [0, 1] the clipped unit reaches 0.50 at most, a sigmoid 0.4760 ± 0.0061 (n = 5)
more (about 85 s of processor time).

Source: Goodfellow, Bengio and Courville (2016), section 6.2.2.2.
"""

import matplotlib.pyplot as plt
import pandas as pd

from lanes import Blobs, Results, Run, Verdict, grid
from nets import Linear

BASE = Run(data=Blobs(n=1000, binary=True), net=Linear(), initializer="normal", optimizer="sgd", epochs=30)
UNITS = {"clipped_linear": "squared_error", "sigmoid": "binary_cross_entropy"}
INSIDE, OUTSIDE = (0.5,), (-5.0, -2.0, -0.5, 1.5, 3.0, 6.0)


def sweep() -> list[Run]:
    """Output units of a single unit x initial biases, which put all z near one number, x three rates x draws of data."""
    each = {"net.bias": [*INSIDE, *OUTSIDE], "learning_rate": [0.03, 0.1, 0.3]}
    axes = [
        {"output": [a], "loss": [b], **each, "seed": [draw], "data.seed": [draw]}
        for a, b in UNITS.items()
        for draw in range(5)
    ]
    return [one for axis in axes for one in grid(BASE, axis)]


def measure(results: Results) -> pd.DataFrame:
    """The runs of each unit and bias at the rate of the best mean validation accuracy."""
    rates = ["output", "net.bias", "learning_rate"]
    best = results.runs.groupby(rates, as_index=False)["valid_accuracy"].mean().sort_values("valid_accuracy")
    chosen = best.drop_duplicates(rates[:2], keep="last")[rates]
    return results.runs.merge(chosen)[[*rates, "seed", "test_accuracy"]]


def verdict(results: Results) -> Verdict:
    """Holds if the clipped unit guesses wherever z starts outside, learns inside, and the sigmoid learns from both."""
    table = Results(results.directory, runs=results.measured)
    within, without = (f"net.bias={'|'.join(map(str, starts))}" for starts in (INSIDE, OUTSIDE))
    clipped, sigmoid = ([f"output={unit}", without] for unit in UNITS)
    gain = table.difference("test_accuracy", clipped, sigmoid)
    best, inside = table.where(*clipped)["test_accuracy"].max(), table.mean("test_accuracy", clipped[0], within)
    sentence = f"started with z outside [0, 1] the clipped unit reaches {best:.2f} at most, a sigmoid {gain} more"
    numbers = {"clipped, from outside, at most": best, "clipped, from inside": inside, "sigmoid adds outside": gain}
    if gain.low <= 0 <= gain.high:
        return Verdict("not decided at this n", sentence, numbers)
    return Verdict(
        "holds" if best < 0.55 and inside.mean > 0.9 and gain.low > 0 else "does not hold", sentence, numbers
    )


def figure(results: Results) -> plt.Figure:
    """Test accuracy against the bias at the start: means, and bars from the least to the largest of 5 draws."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for unit, part in results.measured.groupby("output"):
        seen = part.groupby("net.bias")["test_accuracy"].agg(["mean", "min", "max"])
        bars = seen["mean"] - seen["min"], seen["max"] - seen["mean"]
        axes.errorbar(seen.index, seen["mean"], bars, fmt=".-", label=unit)
    axes.axvspan(0, 1, color="silver", alpha=0.5)
    axes.set(xlabel="z at the start (0 to 1 shaded)", ylabel="test accuracy", title="A saturated start, 5 draws")
    axes.legend(fontsize=7)
    return drawing
