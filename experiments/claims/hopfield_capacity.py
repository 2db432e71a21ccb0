"""Does a Hopfield net of N units recall up to about 0.14 N random patterns?

    .venv/bin/lanes reproduce hopfield_capacity

Recall is the overlap x·s / N of a stored pattern x and the state s in which the net settles when started from x.

Expected: holds; recall breaks down at 0.1354 ± 0.0043 (n = 5) patterns per unit; the overlap is 0.998 at 0.10 and
0.54 at 0.20 (about 30 s of processor time).

Source: Amit, Gutfreund and Sompolinsky (1985), who find 0.138 for N → ∞.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lanes import Interval, Results, Verdict
from nets import hopfield

LOADS = (0.05, 0.08, 0.10, 0.12, 0.13, 0.14, 0.15, 0.16, 0.18, 0.20, 0.25)


def measure(_: Results) -> pd.DataFrame:
    """Overlap at each load, of five nets of 500 units."""
    overlaps = np.asarray(hopfield.capacity(jax.random.key(0), 500, LOADS, repeats=5))
    return pd.DataFrame(overlaps, columns=[str(load) for load in LOADS])


def verdict(results: Results) -> Verdict:
    """Holds if the overlap falls below 0.967, theory's value just before recall breaks down, between 0.12 and 0.16."""
    knees = [
        float(np.interp(-0.967, -row, LOADS)) for row in np.minimum.accumulate(results.measured.to_numpy(), axis=1)
    ]
    knee, kept, lost = Interval.of(knees), *(results.measured[at].mean() for at in ("0.1", "0.2"))
    holds = 0.12 <= knee.mean <= 0.16 and kept > 0.99 and lost < 0.7
    sentence = (
        f"recall breaks down at {knee} patterns per unit; the overlap is {kept:.3f} at 0.10 and {lost:.2f} at 0.20"
    )
    numbers = {"patterns per unit": knee, "overlap at 0.10": kept, "overlap at 0.20": lost}
    return Verdict("holds" if holds else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Overlap against load, with each net."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    axes.plot(LOADS, results.measured.T, ".", color="gray", alpha=0.6)
    axes.plot(LOADS, results.measured.mean())
    axes.axvline(0.138, linestyle=":", color="black")
    axes.text(0.14, 0.98, "0.138 (Amit et al.)", fontsize=7)
    axes.set(xlabel="patterns per unit", ylabel="overlap after recall", title="Five Hopfield nets of 500 units")
    return drawing
