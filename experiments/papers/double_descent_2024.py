"""Does the test loss of MNIST-1D's nets fall, rise to a peak and fall again as they grow, as the published notebook shows?

    .venv/bin/lanes reproduce double_descent_2024

The notebook's protocol: 4,000 training and 12,000 test examples, 40-h-h-10 on clean and on noisy labels (each drawn anew
with probability 0.15, once for all runs) and nets of three convolutions on the noisy ones, SGD with momentum for 500
epochs, nothing selected. Weights and biases start uniform on ±1/√fan_in. The notebook has one run of each size, and
prints 4 h 43 min of processor time for its 67 trainings, 253 s each; here are five of each, 335 trainings.

Expected: holds; 9 of 9 falls, rises and falls of the test loss are there; it peaks at 4.32 with 36 hidden units, at
5.67 with 47 and label noise, at 2.89 with 24 channels of convolutions (about 7690 s of processor time).

Published: test loss at the first minimum, at the peak and of the largest net: clean 1.31 (h = 9), 4.42 (47), 2.34 (300);
noisy 1.32 (16), 5.79 (61), 2.63 (300); convolutions 0.62 (10 channels), 3.10 (24), 1.77 (100).

Source: Greydanus and Kobak (2024), notebook "deep double descent".
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import MNIST1D, Interval, Results, Run, Verdict, grid
from nets import CNN, MLP, FanInUniform

HIDDEN = (2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 47, 61, 80, 104, 135, 177, 230, 300)
CHANNELS = (*range(2, 30, 2), *range(30, 101, 5))
CLEAN, NOISY, CONVOLUTIONS = "clean", "15% noise", "convolutions"  # each a curve of losses by size
SIZES = {CLEAN: HIDDEN, NOISY: HIDDEN, CONVOLUTIONS: CHANNELS}
PUBLISHED = {
    CLEAN: "1.68 1.66 1.45 1.54 1.38 1.31 1.36 1.39 1.60 2.31 4.16 4.42 3.77 3.40 3.07 2.83 2.72 2.42 2.34",
    NOISY: "1.76 1.71 1.65 1.47 1.42 1.34 1.37 1.32 1.53 1.66 2.50 5.70 5.79 4.72 3.92 3.49 3.12 2.89 2.63",
    CONVOLUTIONS: """1.63 1.02 0.79 0.69 0.62 0.76 0.95 0.99 1.68 2.14 2.73 3.10 2.68 3.00 2.61 2.56 2.49 2.46
    2.17 2.11 2.26 1.95 2.13 2.05 1.88 1.87 1.96 1.80 1.77""",
}
# Where the published curves begin and turn, and the test error there.
TURNS = {CLEAN: (2, 9, 47, 300), NOISY: (2, 16, 61, 300), CONVOLUTIONS: (2, 10, 24, 100)}
ERRORS = {CLEAN: (68.5, 49.3, 41.0, 37.3), NOISY: (69.6, 47.2, 54.0, 45.5), CONVOLUTIONS: (61.2, 19.6, 32.0, 27.7)}

SERIES = MNIST1D(num_samples=16000, train_split=0.25, valid_fraction=0.0)
BASE = Run(data=SERIES, optimizer="momentum", momentum=0.9, learning_rate=0.01, batch_size=100, epochs=500)
BASE = replace(BASE, initializer=FanInUniform(), bias_initializer=FanInUniform())  # PyTorch's default


def sweep() -> list[Run]:
    """MLPs on clean and on noisy labels, convolutional nets on noisy ones, by size x seeds."""
    mlps, cnns = [MLP(widths=(size,) * 2) for size in HIDDEN], [CNN(widths=(size,) * 3) for size in CHANNELS]
    noisy = grid(BASE, {"data.label_noise": [0.15]}, net=[*mlps, *cnns], seed=range(5))
    return [*grid(BASE, net=mlps, seed=range(5)), *noisy]


def by_size(results: Results, metric: str) -> dict[str, pd.DataFrame]:
    """A metric of each curve, seeds x sizes."""
    runs = results.runs.assign(size=results.runs["net.widths"].str.split(",").str[0].astype(int))
    noise, convolves = runs["data.label_noise"].astype(float), runs["net.widths"].str.count(",") == 2
    where = {CLEAN: noise == 0, NOISY: (noise > 0) & ~convolves, CONVOLUTIONS: convolves}
    return {name: runs[rows].pivot_table(values=metric, index="seed", columns="size") for name, rows in where.items()}


def verdict(results: Results) -> Verdict:
    """Holds if each curve falls, rises and falls between the sizes where the published one turns, with its intervals."""
    losses, accuracies = by_size(results, "test_loss"), by_size(results, "test_accuracy")
    numbers: dict[str, Interval | float] = {}
    right, wrong, peaks = 0, 0, []
    for name, turns in TURNS.items():
        published = dict(zip(SIZES[name], PUBLISHED[name].split(), strict=True))
        for size, error in zip(turns, ERRORS[name], strict=True):
            numbers[f"{name}, {size}: test loss (published {published[size]})"] = Interval.of(losses[name][size])
            errors = Interval.of(100 * (1 - accuracies[name][size]))
            numbers[f"{name}, {size}: test error in % (published {error})"] = errors
        for sign, before, after in zip((-1, 1, -1), turns[:-1], turns[1:], strict=True):
            change = Interval.of(sign * (losses[name][after] - losses[name][before]))
            right, wrong = right + (change.low > 0), wrong + (change.high < 0)
        peaks.append("{1:.2f} with {0}".format(*max(losses[name].mean().items(), key=lambda item: item[1])))
    outcome = "does not hold" if wrong else "holds" if right == 9 else "not decided at this n"
    sentence = f"{right} of 9 falls, rises and falls of the test loss are there; it peaks at {peaks[0]} hidden units"
    return Verdict(
        outcome, f"{sentence}, at {peaks[1]} and label noise, at {peaks[2]} channels of convolutions", numbers
    )


def figure(results: Results) -> plt.Figure:
    """Test loss against size: means with 95% intervals over seeds, and the published runs."""
    drawing, panels = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True, layout="constrained")
    for (name, losses), colour in zip(by_size(results, "test_loss").items(), ("C0", "C3", "C2"), strict=True):
        axes, found = panels[int(name == CONVOLUTIONS)], [Interval.of(losses[size]) for size in losses]
        mean, half = np.array([one.mean for one in found]), np.array([one.half for one in found])
        axes.plot(
            losses.columns, mean, color=colour, label=f"{NOISY if name == CONVOLUTIONS else name}, n = {len(losses)}"
        )
        axes.fill_between(losses.columns, mean - half, mean + half, color=colour, alpha=0.25, linewidth=0)
        published = np.array(PUBLISHED[name].split(), float)
        axes.plot(SIZES[name], published, "o", color=colour, ms=3.5, fillstyle="none", label="published, n = 1")
        axes.set(xscale="log")
        axes.set_xticks(turns := (2, 5, 10, 24, 50, 100) if name == CONVOLUTIONS else (2, 10, 50, 300), map(str, turns))
        axes.minorticks_off()
        axes.legend(fontsize=7, frameon=False, loc="upper left")
    panels[0].set(xlabel="hidden units h of 40-h-h-10", ylabel="test loss (nats)", title="MLPs", ylim=(0, None))
    panels[1].set(xlabel="channels of three convolutions", title="convolutional nets")
    drawing.suptitle("MNIST-1D: test loss descends twice as nets grow", fontsize=11)
    return drawing
