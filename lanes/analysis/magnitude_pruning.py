"""Magnitude pruning of trained nets: sets the smallest weights to zero, for instance after training with L1."""

from typing import Any

import jax
import numpy as np

from losses.penalties_on_weights import is_kernel, kernels

Tree = Any


def pruned(params: Tree, sparsity: float) -> Tree:
    """Parameters of lanes [P, …] with the smallest kernel weights of each lane, a fraction `sparsity`, set to zero.

    Formula: w ← w 1[|w| > t], t the ⌊sparsity n⌋-th smallest |w| over all n weights of all kernels; biases stay
    Reference: Han, Pool, Tran and Dally, Learning both weights and connections for efficient neural networks, 2015
    """
    found = kernels(params)
    magnitudes = np.concatenate([np.abs(np.asarray(leaf)).reshape(leaf.shape[0], -1) for leaf in found], axis=1)
    count = int(sparsity * magnitudes.shape[1])
    if not count:
        return params
    threshold = np.partition(magnitudes, count - 1, axis=1)[:, count - 1]

    def cut(path: Any, leaf: Any) -> Any:
        if not is_kernel(path):
            return leaf
        return np.where(np.abs(leaf) > threshold.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0)

    return jax.tree_util.tree_map_with_path(cut, params)
