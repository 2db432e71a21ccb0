"""Draws how a signal passes through ten untrained layers of 500 units, by initializer and activation.

    .venv/bin/python scripts/figures/signal_at_depth.py                writes docs/signal_at_depth.png, in about 10 s
    .venv/bin/python scripts/figures/signal_at_depth.py --out FILE     writes FILE (.png, .svg or .pdf)

The inputs are 1,000 examples of 500 features drawn from N(0, 1); the nets are those of the experiment
`signal_at_depth`. Also prints the standard deviation of every layer's activations.
"""

import argparse
from pathlib import Path

import jax
import matplotlib
import numpy as np

from nets import ACTIVATIONS, INITIALIZERS, MLP
from nets.activations import PerLayer

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DEPTH, UNITS, EXAMPLES = 10, 500, 1000
INITIALIZED = ("uniform_0.01", "xavier_normal", "he_normal")
PAIRS = [(activation, initializer) for activation in ("tanh", "relu") for initializer in INITIALIZED]
BAR = "#1f5fa8"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "signal_at_depth.png"


def hidden(activation: str, initializer: str) -> list[np.ndarray]:
    """Activations [EXAMPLES, UNITS] of each hidden layer at initialization."""
    data_key, net_key = jax.random.split(jax.random.key(0))
    x = jax.random.normal(data_key, (EXAMPLES, UNITS))
    net = MLP(
        widths=(UNITS,) * DEPTH, activation=PerLayer(ACTIVATIONS[activation]), kernel_init=INITIALIZERS[initializer]
    )
    variables = net.init(net_key, x, train=False)
    _, state = net.apply({"params": variables["params"]}, x, train=False, mutable=["intermediates"])
    return [np.asarray(state["intermediates"][f"hidden_{layer}"]["hidden"][0]) for layer in range(DEPTH)]


def draw(out: Path) -> None:
    """Writes the picture and prints the standard deviations."""
    figure, axes = plt.subplots(
        len(PAIRS), DEPTH, figsize=(DEPTH * 1.15, len(PAIRS) * 1.05), sharey="row", layout="constrained"
    )
    for row, (activation, initializer) in zip(axes, PAIRS, strict=True):
        layers = hidden(activation, initializer)
        spread = [float(layer.std()) for layer in layers]
        print(f"{activation:5} {initializer:14}" + "".join(f"{value:10.2g}" for value in spread))
        limits = (-1.0, 1.0) if activation == "tanh" else (0.0, 2.5)
        for at, (cell, layer, value) in enumerate(zip(row, layers, spread, strict=True)):
            counts, edges = np.histogram(layer, bins=41, range=limits)
            cell.bar(edges[:-1], counts / layer.size, width=np.diff(edges), align="edge", color=BAR)
            cell.set(xlim=limits, ylim=(0, 0.2), yticks=[], xticks=[limits[0], limits[1]])
            cell.set_title(f"σ = {value:.2g}", fontsize=7, pad=2)
            cell.tick_params(labelsize=6, length=2)
            cell.spines[["top", "right", "left"]].set_visible(False)
            if at == 0:
                cell.set_ylabel(f"{activation}\n{initializer}", fontsize=7)
    figure.suptitle("Activations of layers 1 to 10 at initialization (share of units; cut at 0.2)", fontsize=9)
    figure.savefig(out, dpi=130)


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description="Draw the activations of ten layers at initialization.")
    parser.add_argument("--out", type=Path, default=PAGE)
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
