"""Anomaly detection by an autoencoder's reconstruction error."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from losses import LOSSES
from losses.metrics import auroc
from nets import outputs_of

BATCH = 1024


def anomaly_scores(net: nn.Module, variables: Any, x: Any, error: str | Callable = "mean_squared_error") -> np.ndarray:
    """Reconstruction error [N] of each example of x [N, …]; a higher score means less like the training data.

    Args:
        net, variables: from `lanes.restore` or `lanes.train`: an autoencoder, a VAE (decodes its mean) or an RBM.
        x: examples as the net sees them, that is, standardized.
        error: loss per example, by name or as a function; a cross-entropy takes logits.
    """
    loss = LOSSES[error] if isinstance(error, str) else error

    @jax.jit
    def score(x: jax.Array) -> jax.Array:
        prediction = outputs_of(net.apply(variables, x, train=False)).prediction
        values = loss(prediction.reshape(x.shape), x)
        return values.reshape(x.shape[0], -1).mean(axis=1)

    x = jnp.asarray(x, jnp.float32)
    return np.concatenate([np.asarray(score(x[start : start + BATCH])) for start in range(0, len(x), BATCH)])


def anomaly_auroc(
    net: nn.Module, variables: Any, x: Any, abnormal: Any, error: str | Callable = "mean_squared_error"
) -> float:
    """Probability that an abnormal example scores above a normal one, ties counting half.

    `abnormal` [N] holds 0 or 1 for each example; other arguments as in `anomaly_scores`. NaN if all examples are of
    one kind.
    """
    scores = anomaly_scores(net, variables, x, error)
    return float(auroc(jnp.asarray(scores), jnp.asarray(abnormal, jnp.int32)))
