"""Do full-batch, mini-batch and one-example SGD differ in noise, in cost and in final loss, each at its best rate?

    .venv/bin/lanes reproduce batch_sizes

Cost is to a training loss of 0.05; the final loss is that after 16 epochs, of all batch sizes. Rates are chosen on five
seeds and judged on twenty others; factors up to 1.25 are no difference. A gradient has as much noise as signal in a batch of
the noise scale. A first run, judged on five seeds after 32 epochs, left two factors open.

Expected: holds only when; the noise scale is 40 after an epoch and 701 after 16; factors from 1 to 32, to 256, to N =
1,024: more examples 1.2, 3.5, 3.7; fewer updates 27, 2.3, 1.1; higher loss 5.8, 17, 6.5 (about 30 s of processor
time).

Source: a lecture on multilayer networks, "Advantages of mini-batch"; McCandlish et al. (2018), the noise scale.
"""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Dataset, Digits, Interval, Results, Run, Verdict, diagnose, grid
from nets import MLP

SIZES, TOP = [1, 32, 256, 1024], [-4.0, 0.5, 1.0, 1.0]  # batch sizes, log2 of the largest of five rates of each


def digits() -> Dataset:
    """1,024 digits, which are the validation split too."""
    data = Digits().load().first_examples(1024, seed=0)
    return dataclasses.replace(data, valid=data.train)


def sweep() -> list[Run]:
    """Batch sizes x rates x seeds, and nets of one epoch."""
    base = Run(data=digits, net=MLP(widths=(32,)), optimizer="sgd", learning_rate=0.5)
    runs = grid(base, epochs=[1], seed=range(25))
    for size, top in zip(SIZES, TOP):
        rates, epochs = [2 ** (top - at / 2) for at in range(5)], [max(16, size // 8)]
        runs += grid(base, batch_size=[size], epochs=epochs, learning_rate=rates, seed=range(25))
    return runs


def measure(results: Results) -> pd.DataFrame:
    """By judged seed: epochs to the loss, interpolated in its logarithm, final losses, both at best rates; noise scales."""
    runs, found = results.runs.set_index("run_id"), dict[str, pd.Series]()
    losses = np.log(results.curves.set_index("run_id").valid_loss.fillna(2.3)).groupby("run_id")  # 2.3: it diverged
    runs["cost"] = losses.agg(lambda loss: np.interp(3.0, np.maximum.accumulate(-loss), 1 + np.arange(len(loss))))
    runs["loss"] = np.exp(losses.agg(lambda loss: loss.iloc[:16].iloc[-1]))
    for size, part in runs[runs.epochs > 1].groupby("batch_size"):
        for name in ("cost", "loss"):
            table = part.pivot(index="seed", columns="learning_rate", values=name)
            found[f"{name} {size}"] = table[np.log(table.loc[:4]).mean().idxmin()]
    noise = diagnose(results.directory, "noise", where=["batch_size=32", "learning_rate=0.5"], examples=1024)["noise"]
    return pd.DataFrame(found).join(noise.pivot_table("noise_scale", "seed", "epochs").add_prefix("noise ")).loc[5:]


def verdict(results: Results) -> Verdict:
    """Holds if factors between neighbours, of examples, updates and loss, and the noise scales are above 1.25."""
    numbers, words, table = dict[str, Interval](), [], np.log2(results.measured)
    cost, loss = (table.filter(like=name).diff(axis=1).iloc[:, 1:] for name in ("cost", "loss"))
    fewer = np.diff(np.log2(SIZES)) - cost
    for name, part in {"more examples": cost, "fewer updates": fewer, "higher loss": loss}.items():
        found = [Interval.of(one) for _, one in part.items()]
        numbers |= {f"log2({name}) at {size}": one for size, one in zip(SIZES[1:], found)}
        words.append(f"{name} {', '.join(f'{2**one.mean:.2g}' for one in found)}")
    early, late = (numbers.setdefault(f"log2({name})", Interval.of(table[name])) for name in ("noise 1", "noise 16"))
    states = [(one.low > 0.32) - (one.high < 0.32) for one in numbers.values()]
    mixed = "not decided at this n" if -1 not in states else "holds only when" if 1 in states else "does not hold"
    sentence = f"the noise scale is {2**early.mean:.0f} after an epoch and {2**late.mean:.0f} after 16; "
    sentence += f"factors from 1 to 32, to 256, to N = 1,024: {'; '.join(words)}"
    return Verdict("holds" if min(states) == 1 else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Examples and updates to the loss against batch size, with the noise scales."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    cost = 1024 * results.measured.filter(like="cost")
    for name, table in {"examples": cost, "updates": cost / SIZES}.items():
        half = [Interval.of(one).half for _, one in table.items()]
        axes.errorbar(SIZES, table.mean(), half, marker="o", capsize=3, label=name)
    scales = np.exp(np.log(results.measured.filter(like="noise")).mean())
    axes.axvspan(*scales, color="0.9", label="noise scale, from epoch 1 to 16")
    axes.set(xscale="log", yscale="log", xticks=SIZES, xticklabels=SIZES, ylim=(30, 2e6), xlabel="batch size")
    axes.set(ylabel="until the training loss is 0.05", title="SGD at best rates on 1,024 digits (20 seeds)")
    axes.legend(loc="upper left")
    return drawing
