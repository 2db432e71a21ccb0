"""Do L1, L2, dropout, translation, noise, batch norm and early stopping each close the gap when data are scarce?

    .venv/bin/lanes reproduce regularizers_on_scarce_data

Expected: not decided at this n; gap and test loss fall with dropout, translation, noise; with none one rises (about 80
s of processor time).

Source: Krawiec, Elementy Inteligencji Obliczeniowej (2018); Srivastava et al. (2014).
"""

import matplotlib.pyplot as plt

from lanes import Interval, Results, Run, Translate, Verdict, grid
from nets import MLP

BASE = Run(train_examples=200, net=MLP(widths=(128, 128)), batch_size=20, schedule="cosine", epochs=60, eval_every=60)
NAMES = ["L1", "L2", "dropout", "translation", "noise", "batch norm", "early stopping"]
WAYS: dict[str, list[object]] = {"l1": [1e-4, 3e-4, 1e-3], "l2": [1e-3, 3e-3, 1e-2], "dropout": [0.2, 0.4, 0.6]}
WAYS |= {"augment": [(Translate(amount),) for amount in (0.08, 0.13, 0.19)], "input_noise": [0.3, 0.6, 1.2]}
WAYS |= {"net.norm": ["batch_norm"], "eval_every": [1]}  # the last keeps the epoch of the lowest validation loss


def sweep() -> list[Run]:
    """No regularizer, and each one alone at up to three strengths, x seeds."""
    return grid(BASE, [{}, *({field: strengths} for field, strengths in WAYS.items())], seed=range(10))


def changes(results: Results) -> dict[str, list[Interval]]:
    """Gap (test less training loss) and test loss by way, at its lowest validation loss, less those without, by seed."""
    rows = results.runs.assign(gap=results.runs.test_loss - results.runs.train_loss).set_index("seed")
    changed, found = (text := rows[[*WAYS]].map(str)) != text.mode().iloc[0], {}
    none = rows[~changed.any(axis=1)]
    for name, field in zip(NAMES, WAYS):
        some = rows[changed[field]].assign(strength=text[field][changed[field]])
        some = some[some.strength == some.groupby("strength").valid_loss.mean().idxmin()]
        found[name] = [Interval.of(some[metric] - none[metric]) for metric in ("gap", "test_loss")]
    return found


def verdict(results: Results) -> Verdict:
    """Holds if each way lowers gap and test loss; if some raise one, only when or not, as others lower both or none."""
    found = changes(results)
    less = [name for name, both in found.items() if all(one.high < 0 for one in both)]
    more = [name for name, both in found.items() if any(one.low > 0 for one in both)]
    sentence = f"gap and test loss fall with {', '.join(less) or 'none'}; with {', '.join(more) or 'none'} one rises"
    mixed = "not decided at this n" if not more else "holds only when" if less else "does not hold"
    numbers = {f"{name}, {at}": one for name, both in found.items() for at, one in zip(("gap", "test loss"), both)}
    return Verdict("holds" if less == NAMES else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Change of gap and test loss by each way."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for at, label in enumerate(("gap", "test loss")):
        mean, half = zip(*((both[at].mean, both[at].half) for both in changes(results).values()))
        axes.errorbar(mean, [place + at / 4 - 0.12 for place in range(7)], xerr=half, fmt="o", capsize=2, label=label)
    axes.set(yticks=range(7), yticklabels=NAMES, ylim=(6.5, -0.5), xlabel="change in nats", xticks=[-0.06, -0.03, 0])
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.legend(title="against none, 10 seeds")
    return drawing
