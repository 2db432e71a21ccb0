"""Does the test loss of MNIST-1D's nets fall, rise to a peak and fall again as they grow, as the published notebook shows?

    .venv/bin/lanes reproduce double_descent_2024

The notebook's protocol: 4,000 training and 12,000 test examples, 40-h-h-10 on clean and on noisy labels (each drawn anew
with probability 0.15, once for all runs) and nets of three convolutions on the noisy ones, SGD with momentum for 500
epochs, nothing selected. Weights and biases start uniform on ±1/√fan_in. The notebook has one run of each size, and
prints 4 h 43 min of processor time for its 67 trainings, 253 s each; here are five of each, 335 trainings.

Published: test loss at the first minimum, at the peak and of the largest net: clean 1.31 (h = 9), 4.42 (47), 2.34 (300);
noisy 1.32 (16), 5.79 (61), 2.63 (300); convolutions 0.62 (10 channels), 3.10 (24), 1.77 (100).

Source: Greydanus and Kobak (2024), notebook "deep double descent".
"""

import matplotlib.pyplot as plt
import numpy as np

from lanes import MNIST1D, Interval, Results, Run, Verdict, grid
from nets import CNN, MLP, FanInUniform

HIDDEN = (2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 47, 61, 80, 104, 135, 177, 230, 300)
CHANNELS = (*range(2, 30, 2), *range(30, 101, 5))
PUBLISHED = {
    "clean": "1.676 1.664 1.448 1.537 1.375 1.308 1.357 1.392 1.604 2.306 4.161 4.415 3.775 3.404 3.070 2.835 2.716 2.415 2.338",
    "15% noise": "1.757 1.714 1.654 1.467 1.419 1.344 1.371 1.318 1.528 1.664 2.505 5.698 5.786 4.720 3.919 3.494 3.121 2.888 2.629",
    "convolutions": "1.634 1.020 0.788 0.691 0.624 0.756 0.952 0.986 1.677 2.138 2.725 3.099 2.676 2.999 2.609 2.564 2.493 2.463 "
    "2.166 2.106 2.259 1.948 2.132 2.047 1.884 1.868 1.962 1.796 1.775",
}  # test loss by size
ERRORS = {"clean": (49.33, 41.01, 37.25), "15% noise": (47.24, 54.02, 45.47), "convolutions": (19.64, 32.03, 27.66)}
SIZES = {"clean": HIDDEN, "15% noise": HIDDEN, "convolutions": CHANNELS}
JUDGED = {
    "clean": (9, 47, 300),
    "15% noise": (16, 61, 300),
    "convolutions": (10, 24, 100),
}  # where the published curves turn

CLEAN = MNIST1D(num_samples=16000, train_split=0.25, valid_fraction=0.0)
NOISY = MNIST1D(num_samples=16000, train_split=0.25, valid_fraction=0.0, label_noise=0.15)
BASE = Run(
    data=CLEAN,
    initializer=FanInUniform(),
    bias_initializer=FanInUniform(),
    optimizer="momentum",
    momentum=0.9,
    learning_rate=0.01,
    batch_size=100,
    epochs=500,
)


def sweep() -> list[Run]:
    """MLPs on clean and on noisy labels, convolutional nets on noisy ones, all by size x seeds."""
    return [
        *grid(BASE, net=[MLP(widths=(size, size)) for size in HIDDEN], data=[CLEAN, NOISY], seed=range(5)),
        *grid(BASE, net=[CNN(widths=(size,) * 3) for size in CHANNELS], data=[NOISY], seed=range(5)),
    ]


def of(name: str, size: int) -> tuple[str, ...]:
    """The conditions on a curve's runs of one size."""
    layers, noise = (3, 0.15) if name == "convolutions" else (2, 0 if name == "clean" else 0.15)
    return f"net.widths={','.join([str(size)] * layers)}", f"data.label_noise={noise}"


def verdict(results: Results) -> Verdict:
    """Holds if, where the published curves turn, each of ours is below its start, then above, then below its peak."""
    numbers: dict[str, Interval | float] = {}
    changes, peaks = [], []
    for name, (least, peak, last) in JUDGED.items():
        path = [of(name, size) for size in (SIZES[name][0], least, peak, last)]
        changes += [
            (sign, results.difference("test_loss", *pair)) for sign, *pair in zip((-1, 1, -1), path[:-1], path[1:])
        ]
        means = [results.mean("test_loss", *of(name, size)).mean for size in SIZES[name]]
        peaks.append((float(np.nanmax(means)), SIZES[name][int(np.nanargmax(means))]))
        for size, error in zip(JUDGED[name], ERRORS[name]):
            loss = PUBLISHED[name].split()[SIZES[name].index(size)]
            unit = "channels" if name == "convolutions" else "h"
            numbers[f"{name}, {unit} = {size}: test loss (published {loss})"] = results.mean(
                "test_loss", *of(name, size)
            )
            wrong = results.mean("test_accuracy", *of(name, size))
            numbers[f"{name}, {unit} = {size}: test error, % (published {error})"] = Interval(
                100 * (1 - wrong.mean), 100 * wrong.half, wrong.n
            )
    right = [bool(sign * change.mean > abs(change.half)) for sign, change in changes]
    wrong_way = [bool(-sign * change.mean > abs(change.half)) for sign, change in changes]
    outcome = "holds" if all(right) else "does not hold" if any(wrong_way) else "not decided at this n"
    (clean, h), (noisy, k), (conv, c) = peaks
    sentence = (
        f"{sum(right)} of 9 falls, rises and falls of the test loss are there with their intervals; it peaks at {clean:.2f} "
        f"for h = {h}, with label noise at {noisy:.2f} for h = {k}, with convolutions at {conv:.2f} for {c} channels"
    )
    return Verdict(outcome, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test loss against size: means with 95% intervals over seeds, and the published runs."""
    drawing, panels = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True, layout="constrained")
    colours = {"clean": "C0", "15% noise": "C3", "convolutions": "C2"}
    for name, sizes in SIZES.items():
        axes = panels[int(name == "convolutions")]
        found = [results.mean("test_loss", *of(name, size)) for size in sizes]
        mean, half = np.array([one.mean for one in found]), np.array([one.half for one in found])
        axes.plot(
            sizes, mean, color=colours[name], label=f"{'15% noise' if axes is panels[1] else name}, n = {found[0].n}"
        )
        axes.fill_between(sizes, mean - half, mean + half, color=colours[name], alpha=0.25, linewidth=0)
        published = [float(loss) for loss in PUBLISHED[name].split()]
        axes.plot(
            sizes, published, "o", color=colours[name], markersize=3.5, fillstyle="none", label="published, n = 1"
        )
        axes.set_xscale("log")
        ticks = (2, 10, 50, 300) if axes is panels[0] else (2, 5, 10, 24, 50, 100)
        axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
        axes.minorticks_off()
        axes.legend(fontsize=7, frameon=False, loc="upper left")
    panels[0].set(xlabel="hidden units h of 40-h-h-10", ylabel="test loss (nats)", title="MLPs", ylim=(0, None))
    panels[1].set(xlabel="channels of three convolutions", title="convolutional nets")
    drawing.suptitle("MNIST-1D: test loss descends twice as nets grow", fontsize=11)
    return drawing
