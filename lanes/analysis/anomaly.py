"""Anomaly detection: how badly an autoencoder gives an example back, and how well that tells the abnormal ones."""

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
    """Reconstruction error [N] of each example of x [N, …]: the higher, the less an example is like those of training.

    Args:
        net, variables: from `lanes.restore` or `lanes.train`; of an autoencoder, a VAE (its mean is decoded) or an RBM.
        x: as the net sees them: standardized.
        error: loss per example, by name or as a function; a cross-entropy takes logits.
    """
    compare = LOSSES[error] if isinstance(error, str) else error

    @jax.jit
    def score(x: jax.Array) -> jax.Array:
        prediction = outputs_of(net.apply(variables, x, train=False)).prediction
        values = compare(prediction.reshape(x.shape), x)
        return values.reshape(x.shape[0], -1).mean(axis=1)

    x = jnp.asarray(x, jnp.float32)
    return np.concatenate([np.asarray(score(x[at : at + BATCH])) for at in range(0, len(x), BATCH)])


def anomaly_auroc(
    net: nn.Module, variables: Any, x: Any, abnormal: Any, error: str | Callable = "mean_squared_error"
) -> float:
    """Probability that an abnormal example scores above a normal one, ties counting half; `abnormal` [N] of 0 and 1.

    NaN where there is only one kind. Other arguments as in `anomaly_scores`.
    """
    scores = anomaly_scores(net, variables, x, error)
    return float(auroc(jnp.asarray(scores), jnp.asarray(abnormal, jnp.int32)))
