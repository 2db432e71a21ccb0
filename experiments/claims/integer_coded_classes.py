"""Do classes coded as the integers 0, 1, 2, … impose an order, so that a net errs toward neighbouring codes and more often?

    .venv/bin/lanes reproduce integer_coded_classes

One number with squared error, rounded, against one-hot targets with the same loss, each at its best of four rates, of
which the largest came after a first run. In each of ten draws, classes have random codes, two of which are neighbours
with probability 1/5.

Expected: holds; 73% of one integer's errors and 19% of one-hot's (by chance 20%) are off by one code; one-hot adds
0.500 ± 0.018 (n = 10) to test accuracy (about 50 s of processor time).

Source: a lecture at the University of Ferrara on neural networks: a dog should not be "between" a cat and a toaster.
"""

import functools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lanes import Interval, Results, Run, Verdict, grid, predict
from nets import MLP

BASE = Run(net=MLP(widths=(64,)), loss="squared_error", epochs=60)
CODES = {"integer_coded": "one integer", "classify": "one-hot"}


def digits(draw: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The digits with their classes coded in a random order, and split: 497 to train on, 300 to choose rates, 1,000 to test."""
    x, y = load_digits().data.astype(np.float32), np.random.default_rng(draw).permutation(10)[load_digits().target]
    x, test_x, y, test_y = train_test_split(x, y, test_size=1000, random_state=draw, stratify=y)
    x, valid_x, y, valid_y = train_test_split(x, y, test_size=300, random_state=draw, stratify=y)
    return {"train": (x, y), "valid": (valid_x, valid_y), "test": (test_x, test_y)}


def sweep() -> list[Run]:
    """Codes x rates x draws, one seed each."""
    axes = {"task": CODES, "learning_rate": [0.001, 0.003, 0.01, 0.03]}
    return [one for at in range(10) for one in grid(BASE, axes, data=[functools.partial(digits, draw=at)], seed=[at])]


def measure(results: Results) -> pd.DataFrame:
    """How many test digits are off by 0, 1, … 9 codes, a row for each code and draw."""
    best, rows = results.runs.groupby(["task", "learning_rate"]).valid_accuracy.mean().groupby("task").idxmax(), []
    for run in results.runs.to_dict("records"):
        if (run["task"], run["learning_rate"]) == best[run["task"]]:
            x, y = digits(run["seed"])["test"]
            found = predict(results.directory, run["run_id"], x)
            found = found.argmax(1) if run["task"] == "classify" else found[:, 0].round().clip(0, 9).astype(int)
            rows.append((CODES[run["task"]], run["seed"], *np.bincount(abs(found - y), minlength=10)))
    return pd.DataFrame(rows, columns=["code", "seed", *map(str, range(10))])


def shares(results: Results, code: str) -> tuple[pd.Series, pd.DataFrame]:
    """By draw: accuracy; of errors, the share that is off by each distance of codes."""
    counts = results.measured[results.measured.code == code].set_index("seed")[[str(off) for off in range(10)]]
    wrong = counts.drop(columns="0")
    return counts["0"] / counts.sum(axis=1), wrong.div(wrong.sum(axis=1), axis=0)


def verdict(results: Results) -> Verdict:
    """Holds if one integer sends a larger share of errors to neighbours and is less accurate; only when, if only the first."""
    (low, near), (high, even) = (shares(results, code) for code in CODES.values())
    drawn, gain = Interval.of(near["1"] - even["1"]), Interval.of(high - low)
    numbers = {f"{name}, off by one": Interval.of(one["1"]) for name, one in zip(CODES.values(), (near, even))}
    numbers |= {"difference": drawn, "one-hot adds to accuracy": gain, "accuracy, one-hot": Interval.of(high)}
    sentence = (
        f"{near['1'].mean():.0%} of one integer's errors and {even['1'].mean():.0%} of one-hot's (by chance 20%) "
    )
    sentence += f"are off by one code; one-hot adds {gain} to test accuracy"
    outcomes = {drawn.high < 0: "does not hold", drawn.low > 0: "holds" if gain.low > 0 else "holds only when"}
    return Verdict(outcomes.get(True, "not decided at this n"), sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Of errors, the share that is off by each distance."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, code in enumerate(CODES.values()):
        accuracy, found = shares(results, code)
        seen, label = [Interval.of(found[off]) for off in found], f"{code}, accuracy {accuracy.mean():.2f}"
        means, halves = zip(*((one.mean, one.half) for one in seen), strict=True)
        axes.bar(np.arange(0.8, 9) + 0.4 * at, means, 0.4, yerr=halves, capsize=2, label=label)
    axes.plot(range(1, 10), np.arange(9, 0, -1) / 45, "k_", markersize=20, label="at random")
    axes.set(xlabel="|predicted code - code|", ylabel="share of errors", title="Where errors go", xticks=range(1, 10))
    axes.legend(title="10 orders of classes")
    return drawing
