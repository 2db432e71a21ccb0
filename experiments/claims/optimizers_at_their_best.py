"""Do Adam, Adadelta, Adagrad and RMSProp reach a lower test loss than SGD, each at the best of nine rates?

    .venv/bin/lanes reproduce optimizers_at_their_best

Nets of 32 units classify the digits, reconstruct them from codes of 8 numbers, and separate two spirals. Rates are chosen on
validation and span three decades, whose centres were settled on another seed, as were losses and epochs. Momentum is
measured beside.

Expected: holds only when; test losses / SGD's for classes, codes, spirals (* lower): adam 1.1, 0.45*, 0.41*; adadelta
1, 0.48*, 0.074*; adagrad 0.96, 0.6*, 0.46*; rmsprop 1.1, 0.41*, 0.021*; momentum 1.1, 0.78*, 0.19* (about 170 s of
processor time).

Source: a lecture introducing neural networks, which lists the five; Schmidt et al., Descending through a crowded valley (2021).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Interval, Results, Run, Spirals, Verdict, grid
from nets import MLP, Autoencoder

CENTRES = {"sgd": 0.5, "momentum": 0.05, "adagrad": 0.07, "adadelta": 7.0, "rmsprop": 7e-3, "adam": 1e-2}
TASK = ["data", "task"]
NAMES = {("digits", "classify"): "classes", ("digits", "reconstruct"): "codes", ("spirals", "classify"): "spirals"}


def sweep() -> list[Run]:
    """Tasks x optimizers x rates x seeds."""
    code, runs = Autoencoder(widths=(32,), code=8), list[Run]()
    tasks = [
        Run(net=MLP(widths=(32,)), epochs=10),
        Run(net=code, task="reconstruct", loss="mean_squared_error", epochs=10),
        Run(net=MLP(widths=(32, 32)), data=Spirals(n=1000), epochs=20),
    ]
    for name, centre in CENTRES.items():
        rates = [centre * 10 ** (3 * at / 8) for at in range(-4, 5)]
        runs += [run for base in tasks for run in grid(base, optimizer=[name], learning_rate=rates, seed=range(8))]
    return runs


def measure(results: Results) -> pd.DataFrame:
    """Test losses at the rates of the lowest mean validation losses, and the places of these among the nine."""
    runs = results.runs.fillna({"valid_loss": np.inf})  # where it diverged
    mean = runs.pivot_table("valid_loss", [*TASK, "optimizer"], "learning_rate")
    best = mean.idxmin(axis=1).rename("best").reset_index()
    best["place"] = [int((row.dropna().index <= row.idxmin()).sum()) for _, row in mean.iterrows()]
    found = runs.merge(best, on=[*TASK, "optimizer"]).query("learning_rate == best")
    return found[[*TASK, "optimizer", "learning_rate", "place", "seed", "test_loss"]]


def ratios(results: Results) -> dict[tuple[str, str], Interval]:
    """log2 of the test loss relative to SGD's of the same seed, by task and optimizer."""
    losses = np.log2(results.measured.pivot(index=[*TASK, "seed"], columns="optimizer", values="test_loss"))
    less = losses.sub(losses["sgd"], axis=0).drop(columns="sgd")
    return {(NAMES[of], name): Interval.of(part[name]) for name in less for of, part in less.groupby(TASK)}


def verdict(results: Results) -> Verdict:
    """Holds if each of the four is lower on each task, conditionally if some are; fails if none is by a tenth."""
    found, words = ratios(results), []
    for name in ("adam", "adadelta", "adagrad", "rmsprop", "momentum"):
        each = [one for (_, of), one in found.items() if of == name]
        words.append(f"{name} {', '.join(f'{2**one.mean:.2g}{chr(42) * (one.high < 0)}' for one in each)}")
    four = [one for (_, name), one in found.items() if name != "momentum"]
    lower = [one.high < 0 for one in four]
    mixed = "does not hold" if all(one.low > np.log2(0.9) for one in four) else "not decided at this n"
    sentence = f"test losses / SGD's for classes, codes, spirals (* lower): {'; '.join(words)}"
    numbers: dict[str, Interval | float] = {f"log2({name} / SGD), {task}": one for (task, name), one in found.items()}
    numbers["best rates at an end"] = results.measured.query("seed == 0").place.isin([1, 9]).sum()
    return Verdict("holds" if all(lower) else "holds only when" if any(lower) else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test losses relative to SGD's."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    found = ratios(results)
    for at, task in enumerate(NAMES.values()):
        rows = {name: one for (of, name), one in found.items() if of == task}
        half = [one.half for one in rows.values()]
        axes.errorbar(
            [one.mean for one in rows.values()], np.arange(5) + at / 5, xerr=half, fmt="o", capsize=2, label=task
        )
    axes.axvline(0, color="0.5", linestyle=":")
    axes.set(
        yticks=np.arange(5) + 0.2, yticklabels=rows, xlabel="log2(test loss / SGD's)", title="At best rates (8 seeds)"
    )
    axes.legend()
    return drawing
