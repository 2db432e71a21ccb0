"""Does a signal survive ten layers of 500 units, and does the net then learn?

    .venv/bin/lanes reproduce signal_at_depth

Expected: holds; of a signal 1e-09, 0.028 and 0.23 are left; He adds 0.38 ± 0.17 (n = 3) to ReLU's test accuracy
(about 90 s of processor time).

Source: CS231n (2016), lecture 5; Glorot and Bengio (2010); He et al. (2015).
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Results, Run, Verdict, grid
from nets import ACTIVATIONS, INITIALIZERS, MLP, PerLayer

BASE = Run(data="digits", net=MLP(widths=(500,) * 10), optimizer="sgd", learning_rate=0.01, batch_size=32, epochs=5)
PAIRS = [(unit, drawn) for unit in ("tanh", "relu") for drawn in ("uniform_0.01", "xavier_normal", "he_normal")]


def sweep() -> list[Run]:
    """Initializers x activations x seeds."""
    return [one for a, b in PAIRS for one in grid(BASE, activation=[a], initializer=[b], seed=range(3))]


def measure(_: Results) -> pd.DataFrame:
    """Standard deviation of each layer's activations before training, for 1,000 inputs of 500 features from N(0, 1)."""
    x, rows = jax.random.normal(jax.random.key(0), (1000, 500)), []
    for a, b in PAIRS:
        net = BASE.net.clone(activation=PerLayer(ACTIVATIONS[a]), kernel_init=INITIALIZERS[b])
        _, state = net.init_with_output(jax.random.key(1), x, train=False, mutable=["params", "intermediates"])
        layers = [state["intermediates"][f"hidden_{at}"]["hidden"][0] for at in range(10)]
        rows += [(a, b, at + 1, float(np.std(layer))) for at, layer in enumerate(layers)]
    return pd.DataFrame(rows, columns=["activation", "initializer", "layer", "deviation"])


def verdict(results: Results) -> Verdict:
    """Whether the signal is lost, fades and is kept where the claim says so."""
    last = results.measured.query("layer == 10").set_index(["activation", "initializer"]).deviation
    lost = max(last[a, b] for a, b in PAIRS if b == "uniform_0.01")
    fading, kept = last["relu", "xavier_normal"], min(last["tanh", "xavier_normal"], last["relu", "he_normal"])
    xavier, he = (("activation=relu", f"initializer={name}_normal") for name in ("xavier", "he"))
    gain = results.difference("test_accuracy", xavier, he)
    sentence = f"of a signal {lost:.0e}, {fading:.2g} and {kept:.2g} are left; He adds {gain} to ReLU's test accuracy"
    numbers = {"left of ±0.01": lost, "left of Xavier in ReLU": fading, "left where kept": kept, "gain by He": gain}
    numbers |= {f"{a}, {b}": results.mean("test_accuracy", f"activation={a}", f"initializer={b}") for a, b in PAIRS}
    holds = lost < 1e-6 and kept > 0.1 and fading < kept / 4 and gain.low > 0
    return Verdict("holds" if holds else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Deviation against the layer, a line for each pair."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (a, b), part in results.measured.groupby(["activation", "initializer"]):
        axes.semilogy(part["layer"], part["deviation"], ".-" if a == "tanh" else ".--", label=f"{a}, {b}")
    axes.set(xlabel="layer", ylabel="standard deviation of activations", title="Ten layers before training")
    axes.legend()
    return drawing
