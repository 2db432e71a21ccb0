"""Does pretraining without labels help when labels are few, and does an encoder's code serve as features?

    .venv/bin/lanes reproduce pretraining_with_few_labels

Layers of 128 and 64 units are pretrained greedily as denoising autoencoders, on all digits but those of validation and test.
Then 10 to 1,000 labels tune them, against the same net from scratch, or train a softmax regression on their frozen codes,
against one on pixels. Rates and strengths are the same for all, none is chosen; 10 and 50 labels are few.

Expected: not decided at this n; points that it adds with 10, 50, 200, 1,000 labels: fine-tuned 1.0 ± 2.1, 0.8 ± 2.7,
-1.0 ± 1.3, -0.8 ± 1.3; codes -1.3 ± 4.0, -1.1 ± 5.0, -0.2 ± 0.9, 0.8 ± 1.0 (n = 5) (about 140 s of processor time).

Source: Hinton and Salakhutdinov (2006); Krawiec, Neural Networks and Deep Learning (2018), on autoencoders.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.linear_model import LogisticRegression

import lanes
from lanes import Digits, Encoded, Interval, MaskingNoise, Reconstruct, Results, Run, Verdict, grid
from nets import MLP, Autoencoder

FIRST, SECOND = (Autoencoder(widths, code, "activation") for widths, code in (((), 128), ((128,), 64)))
DENOISE = Run(net=FIRST, task=Reconstruct(corruption=MaskingNoise(0.25)), loss="sigmoid_cross_entropy", epochs=60)
TUNE = Run(net=MLP(widths=(128, 64)), batch_size=10, steps=1000, eval_every=1000)  # evaluated after the last step only
LABELS, FEW, SEEDS, PAIRS = (10, 50, 200, 1000), (10, 50), range(5), {"fine-tuned": "scratch", "codes": "pixels"}
COLUMNS = ["way", "labels", "seed", "right"]


def sweep() -> list[Run]:
    """The first layer of each seed, which holds out other digits and takes other labels."""
    digits = [Digits("unit", valid_fraction=0.1, split_seed=seed) for seed in SEEDS]
    return [replace(DENOISE, data=digits[seed], seed=seed, eval_every=60) for seed in SEEDS]


def measure(results: Results) -> pd.DataFrame:
    """Test accuracies; the second layer and the nets for labels start from checkpoints."""
    first, second, third = (results.directory.with_name(f"{results.directory.name}{at}") for at in ("", "_2", "_3"))
    before = results.runs.set_index("seed").run_id
    deeper = [replace(run, net=SECOND, init_from=f"{first}:{before[run.seed]}") for run in sweep()]
    after, tuned, rows = lanes.sweep(deeper, second).set_index("seed").run_id, list[Run](), []
    for run in deeper:
        code, seed = f"{second}:{after[run.seed]}", run.seed
        axes = {"init_from": [f"{code}:encoder", None], "train_examples": LABELS}
        tuned += grid(replace(TUNE, data=run.data, seed=seed), axes)
        for way, data in {"codes": Encoded(code).load(), "pixels": run.data.load()}.items():
            for labels in LABELS:
                few = data.first_examples(labels, seed).train
                x, test = (((part.x - data.offset) * data.scale).reshape(len(part), -1) for part in (few, data.test))
                score = LogisticRegression(max_iter=300).fit(x, few.y).score(test, data.test.y)
                rows.append((way, labels, seed, float(score)))
    runs = lanes.sweep(tuned, third).rename(columns={"train_examples": "labels", "test_accuracy": "right"})
    runs["way"] = runs.init_from.isna().map({True: "scratch", False: "fine-tuned"})
    return pd.concat([runs[COLUMNS], pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)


def verdict(results: Results) -> Verdict:
    """Holds if both ways gain with 10 and with 50 labels; conditionally, if some do; fails if all gain less than a point."""
    right = 100 * results.measured.pivot(index="seed", columns=["way", "labels"], values="right")
    gains = {(way, n): Interval.of(right[way, n] - right[other, n]) for way, other in PAIRS.items() for n in LABELS}
    text = {key: f"{gain.mean:.1f} ± {gain.half:.1f}" for key, gain in gains.items()}
    said = "; ".join(f"{way} {', '.join(text[way, n] for n in LABELS)}" for way in PAIRS)
    sentence = f"points that it adds with 10, 50, 200, 1,000 labels: {said} (n = {len(SEEDS)})"
    numbers = {f"{way} less {PAIRS[way]}, {n} labels": gain for (way, n), gain in gains.items()}
    few = {key: gain for key, gain in gains.items() if key[1] in FEW}
    won = [f"{way} with {n} labels" for (way, n), gain in few.items() if gain.low > 0]
    if 0 < len(won) < len(few):
        return Verdict("holds only when", f"it is {' or '.join(won)}; {sentence}", numbers)
    mixed = "does not hold" if all(gain.high < 1 for gain in few.values()) else "not decided at this n"
    return Verdict("holds" if won else mixed, sentence, numbers)


def figure(results: Results) -> plt.Figure:
    """Test accuracy against labels, a line for each way."""
    drawing, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
    looks = {"fine-tuned": "C0o-", "scratch": "C0o--", "codes": "C1s-", "pixels": "C1s--"}
    names = ["pretrained, fine-tuned", "from scratch", "regression on codes", "regression on pixels"]
    for at, ((way, look), name) in enumerate(zip(looks.items(), names)):
        found = results.measured[results.measured.way == way].groupby("labels").right
        each = [Interval.of(part) for _, part in found]
        places = [n * 1.05 ** (at - 1.5) for n in LABELS]
        axes.errorbar(places, [one.mean for one in each], [one.half for one in each], fmt=look, capsize=2, label=name)
    axes.set(xscale="log", xticks=LABELS, xticklabels=LABELS, xlabel="labels", ylabel="test accuracy")
    axes.minorticks_off()
    axes.legend(title=f"Digits, {len(SEEDS)} seeds")
    return drawing
