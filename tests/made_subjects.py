"""Runs as a diagnosis sees them, with parameters at random: nothing is trained."""

from typing import Any

import jax
import numpy as np

from lanes import Run
from lanes.data.loading import load_dataset
from lanes.describe.outputs import fitted, with_task
from lanes.describe.runs import resolve
from lanes.plan.planned import setup_of, undrawing
from lanes.program.step import build_net
from lanes.results.subjects import Examples, Subject
from nets.inspection import shapes


def made_subject(run: Run, name: str = "a" * 16, examples: int = 20, seed: int = 0) -> Subject:
    """A run with parameters from N(0, 0.3²), variances of 1, and the first examples of its training split."""
    data = load_dataset(run.data)
    run = fitted(with_task(resolve(run), data), data)
    net = build_net(setup_of(run, data), run)
    features, dtype = data.train.x.shape[1:], np.int32 if data.holds_tokens else np.float32
    rng = np.random.default_rng(seed)

    def drawn(path: Any, leaf: Any) -> np.ndarray:
        is_variance = getattr(path[-1], "key", None) == "var"
        return (
            np.ones(leaf.shape, np.float32) if is_variance else (0.3 * rng.normal(size=leaf.shape)).astype(np.float32)
        )

    variables = jax.tree_util.tree_map_with_path(drawn, dict(shapes(net, features, dtype)))
    chosen = Examples(data, "train", np.arange(min(examples, len(data.train))))
    return Subject(name, run, variables, setup_of(undrawing(run), data), chosen)
