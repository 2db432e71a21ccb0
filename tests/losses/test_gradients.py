"""The gradient of every loss by central differences in float64, at predictions drawn away from kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import losses

STEP = 1e-6
RANDOM = np.random.default_rng(3)
LOGITS = RANDOM.normal(size=(5, 3))
TARGETS = {
    "classes": np.array([0, 2, 1, 1, 0], np.int32),
    "distribution": RANDOM.dirichlet(np.ones(3), 5),
    "multilabel": RANDOM.integers(0, 2, (5, 3)).astype(float),
    "binary": np.array([0.0, 1, 1, 0, 1]),
    "real": RANDOM.normal(size=(5, 3)),
}
PAIRS = [(name, target) for name, kind in losses.LOSS_KINDS.items() if name != "zero_one" for target in kind.targets]


@pytest.mark.parametrize(("name", "target"), PAIRS)
def test_gradient_by_central_differences(name, target):
    """Σ_b loss over five examples, each entry of the predictions moved by ±h: error O(h²), rounding 1e-16 / h."""
    targets = TARGETS[target]
    predictions = LOGITS[:, :1] if target == "binary" else LOGITS
    if name == "gaussian_nll":  # a mean and a variance for each target
        predictions = np.concatenate([LOGITS, LOGITS[::-1]], axis=-1)
    if name == "negative_log_likelihood":
        predictions = predictions - np.log(np.exp(predictions).sum(-1, keepdims=True))
    with jax.enable_x64(True):
        total = jax.jit(lambda many: jax.vmap(lambda p: jnp.sum(losses.LOSSES[name](p, jnp.asarray(targets))))(many))
        moves = STEP * np.eye(predictions.size).reshape(-1, *predictions.shape)
        values = np.asarray(total(jnp.asarray(np.concatenate([predictions + moves, predictions - moves]))))
        gradient = jax.grad(lambda p: total(p[None])[0])(jnp.asarray(predictions))
    above, below = np.split(values, 2)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(np.ravel(gradient), (above - below) / (2 * STEP), rtol=1e-6, atol=1e-8)
