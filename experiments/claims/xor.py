"""Can one unit solve XOR, and can two layers?

    .venv/bin/lanes reproduce xor

A line cannot separate XOR's classes; four hidden units can.

Expected: holds; 0% of 20 single units (the best reaches 0.68) and 100% of 20 nets of four solve it (about 5 s of
processor time).

Source: Minsky and Papert (1969).
"""

import matplotlib.pyplot as plt

from lanes import XOR, Results, Run, Verdict, grid
from nets import MLP

BASE = Run(
    data=XOR(binary=True),
    loss="binary_cross_entropy",
    initializer="xavier_normal",
    optimizer="adam",
    learning_rate=0.03,
    epochs=100,
)
NETS = {"one unit": "relu", "four hidden units": "tanh"}  # by their activation, which a single unit does not use


def sweep() -> list[Run]:
    """A single unit and a net with four hidden units x 20 seeds."""
    single = grid(BASE, net=[MLP(widths=())], seed=range(20))
    return single + grid(BASE, net=[MLP(widths=(4,))], activation=["tanh"], seed=range(20))


def verdict(results: Results) -> Verdict:
    """Holds if no single unit, and nearly all of the nets are right on every test example."""
    right = {name: results.where(f"activation={unit}")["test_accuracy"] for name, unit in NETS.items()}
    one, four = ((accuracy == 1).mean() for accuracy in right.values())
    best = right["one unit"].max()
    numbers = {"one unit, solved": one, "four hidden units, solved": four, "one unit, best accuracy": best}
    sentence = f"{one:.0%} of 20 single units (the best reaches {best:.2f}) and {four:.0%} of 20 nets of four solve it"
    return Verdict("holds" if one == 0 and four > 0.9 else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test accuracy of each net."""
    drawing, axes = plt.subplots(figsize=(4, 3), layout="constrained")
    for at, unit in enumerate(NETS.values()):
        rows = results.where(f"activation={unit}")
        axes.plot(at + (rows["seed"] - 9.5) / 40, rows["test_accuracy"], ".")
    axes.set(xticks=[0, 1], xticklabels=NETS, ylabel="test accuracy", title="XOR, 20 seeds each", ylim=(0, 1.03))
    axes.axhline(0.75, color="gray", linewidth=0.8, linestyle=":")
    axes.text(0.5, 0.76, "most that a line can reach", fontsize=7, ha="center")
    return drawing
