"""Does each loss have the gradient ŷ - y where its output unit is the canonical one, and only there?

    .venv/bin/lanes reproduce canonical_links

Then an output that is wrong and saturated still learns; with squared error behind a sigmoid it does not.

Expected: holds; gradients of canonical pairs are ŷ - y within 5e-07, the others' up to 1.00 from it and more (about
2 s of processor time).

Source: McCullagh and Nelder (1989); Bishop (2006), section 4.3.6.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pandas as pd

from lanes import Results, Verdict

LINKS = {
    "identity, ½ squared error": (lambda z: z, lambda z, y: 0.5 * jnp.sum((z - y) ** 2), True),
    "sigmoid, cross-entropy": (jax.nn.sigmoid, lambda z, y: jnp.sum(optax.sigmoid_binary_cross_entropy(z, y)), True),
    "softmax, cross-entropy": (jax.nn.softmax, lambda z, y: optax.softmax_cross_entropy(z, y), True),
    "sigmoid, ½ squared error": (jax.nn.sigmoid, lambda z, y: 0.5 * jnp.sum((jax.nn.sigmoid(z) - y) ** 2), False),
    "softmax, ½ squared error": (jax.nn.softmax, lambda z, y: 0.5 * jnp.sum((jax.nn.softmax(z) - y) ** 2), False),
}


def measure(_: Results) -> pd.DataFrame:
    """Size of the gradient in z of a wrong output, and its largest distance from ŷ - y, as the output saturates."""
    y, rows = jnp.array([1.0, 0.0, 0.0]), []
    for name, (unit, loss, canonical) in LINKS.items():
        for scale in np.linspace(0, 15, 31):
            z = jnp.array([-1.0, 1.0, -1.0]) * scale
            slope, error = jax.grad(loss)(z, y), unit(z) - y
            rows.append((name, canonical, scale, float(jnp.linalg.norm(slope)), float(jnp.abs(slope - error).max())))
    return pd.DataFrame(rows, columns=["link", "canonical", "z", "gradient", "apart"])


def verdict(results: Results) -> Verdict:
    """Holds if the gradients of canonical pairs are ŷ - y within rounding, and those of the others are not."""
    apart = results.measured.groupby(["canonical", "link"]).apart.max()
    worst, least, last = apart[True].max(), apart[False].min(), results.measured.query("z == 15").set_index("link")
    sentence = (
        f"gradients of canonical pairs are ŷ - y within {worst:.0e}, the others' up to {least:.2f} from it and more"
    )
    numbers = {f"{link}, gradient at |z| = 15": value for link, value in last.gradient.items()}
    return Verdict("holds" if worst < 1e-5 and least > 0.1 else "does not hold", sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """The gradient's size as a wrong output saturates."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (link, canonical), part in results.measured.groupby(["link", "canonical"]):
        axes.semilogy(part.z, part.gradient, "-" if canonical else "--", label=link)
    axes.set(xlabel="|z| of a wrong output", ylabel="‖∂L/∂z‖", title="What a saturated error teaches", ylim=(1e-7, 50))
    axes.legend(fontsize=7)
    return drawing
