"""Is a classifier's early plateau its best guess, the frequencies of the classes, and does cross-entropy leave it first?

    .venv/bin/lanes reproduce best_guess_plateau

Digits 0-5, 6-8 and 9 are classes of 60%, 30% and 10%; sigmoid units start saturated, with biases of -4. A net leaves when its
validation accuracy exceeds 0.7, each loss at its fastest of seven rates on the seeds
that are judged. Distances, and the picture, are at rate 1.

Expected: holds; outputs are 0.031 from the frequencies; squared error leaves 1.8 ± 1.0 (n = 5) epochs later (about 10 s of
processor time).

Source: a lecture on multilayer networks ("plateau mistaken for a local minimum"), after Hinton (2012), lecture 6.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from lanes import Interval, Results, Run, Verdict, grid
from nets import MLP, Constant


def data() -> tuple[np.ndarray, np.ndarray]:
    """The digits in three classes."""
    return load_digits().data.astype(np.float32), np.digitize(load_digits().target, [6, 9])


def apart(y: jax.Array, _: jax.Array) -> jax.Array:
    """The largest distance of an output from its class's frequency, of outputs that sum to 1 or of logits."""
    y = jax.numpy.where(abs(y.sum(-1, keepdims=True) - 1) < 1e-5, y, jax.nn.softmax(y))
    return abs(y - np.array([[0.6, 0.3, 0.1]])).max(-1)


def sweep() -> list[Run]:
    """Losses x rates x seeds."""
    base = Run(data=data, task="classify", output="softmax", metrics=(apart,), activation="sigmoid", optimizer="sgd")
    axes = {"learning_rate": [0.25, 0.5, 1, 2, 4, 8, 16], "loss": ["softmax_cross_entropy", "squared_error"]}
    start = {"net": [MLP(widths=(32, 32))], "initializer": ["xavier_normal"], "bias_initializer": [Constant(-4.0)]}
    return grid(base, {**axes, **start}, epochs=[60], seed=range(5))


def verdict(results: Results) -> Verdict:
    """Holds if outputs are within 0.05 of the frequencies until a net leaves, and cross-entropy leaves first."""
    stays = results.curves[results.curves.valid_accuracy.le(0.7).groupby(results.curves.run_id).cummin()]
    left = stays.pivot_table("epoch", "seed", ["loss", "learning_rate"], "max") + 1
    near = stays[stays.learning_rate == 1].pivot_table("valid_apart", "seed", "loss", "median")
    later = Interval.of(left[left.mean().groupby("loss").idxmin()].diff(axis=1).iloc[:, 1])  # each at its fastest rate
    sentence = f"outputs are {near.mean().max():.2g} from the frequencies; squared error leaves {later} epochs later"
    outcomes = {later.low > 0: "holds", near.mean().max() > 0.05 or later.high < 0: "does not hold"}
    return Verdict(outcomes.get(True, "not decided at this n"), sentence, {**near.apply(Interval.of), "later": later})


def figure(results: Results) -> plt.Figure:
    """Distance from the frequencies by epoch, a line per seed."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, (loss, part) in enumerate(results.curves.query("learning_rate == 1").groupby("loss")):
        axes.plot(part.pivot(index="epoch", columns="seed", values="valid_apart"), f"C{at}", linewidth=0.9)
        axes.text(25 + 21 * at, 0.53, loss.replace("softmax_", "").replace("_", " "), color=f"C{at}", ha="center")
    axes.set(xlabel="epoch", ylabel="|output - class frequency|", ylim=(0, 0.57), title="Guessing, then more (5 seeds)")
    return drawing
