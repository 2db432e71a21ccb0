"""Does one hidden layer approximate a continuous function the better the wider it is, and do two need fewer units?

    .venv/bin/lanes reproduce universal_approximation

Expected: not decided at this n; the error falls as width to the power -0.77 ± 0.20 (n = 20) and -1.21 ± 0.19 (n = 20);
two layers of 8, with as many parameters as one of 32, make it 1 and 0.54 times as large (about 110 s of processor time).

Source: Cybenko (1989); Abad, Introducción al Deep Learning, on representational power.
"""

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from lanes import Interval, Metric, Polynomial, Results, Run, Sine, Verdict, grid
from nets import MLP

DATA, CURVES = {"n": 1000, "noise": 0.0, "test_fraction": 0.5}, {"sine": "sin 2πx", "polynomial": "Chebyshev's T₅"}
NETS = {"4": MLP((4,)), "8": MLP((8,)), "16": MLP((16,)), "32": MLP((32,)), "8,8": MLP((8, 8))}


def sup(prediction: jnp.ndarray, target: jnp.ndarray) -> jnp.ndarray:
    """The largest error on the test set, 500 points of [-1, 1]."""
    return jnp.max(jnp.abs(prediction - target))


BASE = Run(data=Sine(**DATA), loss="squared_error", activation="tanh", initializer="xavier_normal", optimizer="lbfgs")


def sweep() -> list[Run]:
    """Curves x nets x seeds."""
    way = {"learning_rate": [1.0], "batch_size": [450], "steps": [500], "eval_every": [500], "net": NETS.values()}
    way |= {"data": [Sine(**DATA), Polynomial(degree=5, **DATA)], "metrics": [(Metric(sup, False, over="set"),)]}
    return grid(BASE, way, seed=range(20))


def verdict(results: Results) -> Verdict:
    """Holds if the error falls with width, and is lower with two layers at equal parameters, for both curves."""
    numbers, table = {}, results.runs.assign(log=np.log2(results.runs.test_sup))
    for data, label in CURVES.items():
        log = table[table.data == data].pivot(index="seed", columns="net.widths", values="log")[[*NETS]]
        numbers[f"{label}, slope"] = Interval.of(np.polyfit([2, 3, 4, 5], log.to_numpy()[:, :4].T, 1)[0])
        numbers[f"{label}, log2 of two layers' error over one's"] = Interval.of(log["8,8"] - log["32"])
    s1, d1, s2, d2 = numbers.values()
    sentence = f"the error falls as width to the power {s1} and {s2}; two layers of 8, "
    sentence += f"with as many parameters as one of 32, make it {2**d1.mean:.2g} and {2**d2.mean:.2g} times as large"
    mixed = "holds only when" if max(d1.low, d2.low) > 0 > max(s1.high, s2.high) else "not decided at this n"
    return Verdict("holds" if max(one.high for one in numbers.values()) < 0 else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Largest error of each net, of every seed and on average."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, (data, label) in enumerate(CURVES.items()):
        error = results.where(f"data={data}").pivot(index="seed", columns="net.widths", values="test_sup")[[*NETS]]
        axes.semilogy(np.exp(np.log(error).mean()).iloc[:4], f"C{at}-", label=label)
        axes.semilogy([*NETS], error.T, f"C{at}.")
    axes.set(xlabel="units of each hidden layer", ylabel="largest error", title="Tanh nets fit to two curves, 20 seeds")
    axes.legend()
    return drawing
