"""Do three 3x3 layers see and do what one 7x7 does, two what one 5x5 does, and bottlenecks the same, with fewer weights?

    .venv/bin/lanes reproduce stacked_convolutions

A 1x1 layer first makes C = 16 channels of the image; without padding, nets with equal windows end in equally large maps. A
bottleneck is 1x1 to C/2, 3x3, and 1x1 back to C. Doing the same means that the interval of the difference in test accuracy
is above -0.01, at the rate that validation chooses for each net. A first run with n = 8, other rates and another split came
out alike.

Expected: holds only when; there is no bottleneck: accuracy of three 3x3 less 7x7: 0.011 ± 0.015 (n = 5); two 3x3 less
5x5: 0.0047 ± 0.0090 (n = 5); three bottlenecks less three 3x3: -0.051 ± 0.031 (n = 5); 27 C² weights see the 49
pixels of 49 C², and without padding multiply 2.6 times as often (about 160 s of processor time).

Source: Krawiec, Neural Networks and Deep Learning (2018), on convolutional nets; Simonyan and Zisserman (2014).
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits

from lanes import Dataset, Interval, Results, Run, Verdict, from_arrays, grid
from nets import ACTIVATIONS, CNN, PerLayer, inspection

C, IMAGE = 16, (8, 8, 1)
STACKS = {"7x7": (7,), "three 3x3": (3, 3, 3), "three bottlenecks": (1, 3, 1) * 3, "5x5": (5,), "two 3x3": (3, 3)}
PAIRS = (("7x7", "three 3x3"), ("5x5", "two 3x3"), ("three 3x3", "three bottlenecks"))


def digits() -> Dataset:
    """898 digits to train on, 300 to choose rates by, 599 to judge by."""
    digits = load_digits()
    return from_arrays(digits.images[..., None], digits.target, test_fraction=1 / 3, valid_fraction=1 / 4)


def net_of(name: str) -> CNN:
    """A 1x1 layer and the stack, of C channels, or in a bottleneck C/2."""
    widths = [C if 1 not in STACKS[name] or at % 3 == 2 else C // 2 for at in range(len(STACKS[name]))]
    return CNN((C, *widths), (1, *STACKS[name]), stride=1, padding=0)


def sweep() -> list[Run]:
    """Nets x rates x seeds."""
    base = Run(data=digits, initializer="he_normal", schedule="cosine", batch_size=30, epochs=15, eval_every=15)
    return grid(base, net=[*map(net_of, STACKS)], learning_rate=[0.003, 0.01], seed=range(5))


def measure(results: Results) -> pd.DataFrame:
    """Of each stack weights without biases, multiply-adds and pixels seen; accuracies at the net's best rate."""
    tables, x = [], jax.random.normal(jax.random.key(0), (1, *IMAGE))
    for name in STACKS:
        net = net_of(name).clone(activation=PerLayer(ACTIVATIONS["softplus"]))  # whose slope is nowhere 0
        found = jax.jit(net.init, static_argnames="train")(jax.random.key(1), x, train=False)
        found["params"]["output"]["kernel"] = found["params"]["output"]["kernel"].at[C:].set(0)  # reads one position
        slopes = jax.jit(jax.grad(lambda x, net=net, found=found: jnp.sum(net.apply(found, x, train=False))))(x)
        layers = inspection.layers(net, IMAGE)[1:-1]
        weights = sum(layer.parameters - layer.shape[-1] for layer in layers) / C**2
        products = sum(layer.multiply_adds for layer in layers)
        runs = results.where(f"net.windows={','.join(map(str, net.windows))}")
        table = runs[runs.learning_rate == runs.groupby("learning_rate").valid_accuracy.mean().idxmax()]
        row = {"weights": weights, "products": products, "seen": int((slopes != 0).sum())}
        tables.append(table[["learning_rate", "seed", "test_accuracy"]].assign(stack=name, **row))
    return pd.concat(tables, ignore_index=True)


def verdict(results: Results) -> Verdict:
    """Holds if weights and pixels are as claimed and no pair's second does worse; conditionally, if some pair's does."""
    table = results.measured.pivot(index="seed", columns="stack", values="test_accuracy")
    net = results.measured.groupby("stack").first()
    gains = {f"{second} less {first}": Interval.of(table[second] - table[first]) for first, second in PAIRS}
    exact = [*net.weights[[*STACKS]]] == [49, 27, 9.75, 25, 18] and all(net.seen[a] == net.seen[b] for a, b in PAIRS)
    kept, lost = (sum(one.low > -0.01 for one in gains.values()), sum(one.high < -0.01 for one in gains.values()))
    outcome = "not decided at this n" if kept + lost < 3 else "holds only when" if lost else "holds"
    outcome = "does not hold" if not exact or lost == 3 else outcome
    more = net.products["three 3x3"] / net.products["7x7"]
    sentence = f"accuracy of {'; '.join(f'{name}: {one}' for name, one in gains.items())}; 27 C² weights see the"
    sentence += f" {net.seen['three 3x3']} pixels of 49 C², and without padding multiply {more:.2g} times as often"
    sentence = f"there is no bottleneck: {sentence}" if kept == 2 and [*gains.values()][2].high < -0.01 else sentence
    return Verdict(outcome, sentence, {**gains, "products of three 3x3 / of 7x7": more})


def figure(results: Results) -> plt.Figure:
    """Test accuracy against weights, with a line from each net to the one that replaces it."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    net = results.measured.groupby("stack")[["weights", "test_accuracy"]].mean()
    for pair in PAIRS:
        axes.plot(*net.loc[[*pair]].T.to_numpy(), color="gray", zorder=0)
    half = results.measured.groupby("stack").test_accuracy.agg(lambda part: Interval.of(part).half)
    axes.errorbar(net.weights, net.test_accuracy, half, fmt="o", capsize=3)
    for name, at in net.iterrows():
        place = {"two 3x3": (-40, 4), "5x5": (-7, 20)}.get(str(name), (6, -12))
        axes.annotate(str(name), at, place, textcoords="offset points", fontsize=8)
    axes.set(xlabel="weights of the stack, over C²", ylabel="test accuracy", xlim=(5, 57), title="Digits, n = 5")
    return drawing
