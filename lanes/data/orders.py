"""The order in which a run sees its training examples: made once per seed on the host, shared by runs of that seed."""

import numpy as np

ORDER_STREAM = 0x0DE5  # identifies this stream of randomness among the uses of a run's seed


def epoch_order(n: int, seed: int, epoch: int, batch_size: int = 1) -> np.ndarray:
    """A fresh permutation of `n` examples for one epoch, cut to whole batches.

    Args:
        n: number of training examples.
        seed: the run's seed. Runs with equal `n`, `batch_size` and seed see the same batches in the same order.
        epoch: number of the epoch, from 0. Each epoch's order is made directly, without those before it.
        batch_size: B; the order is cut to floor(n / B) · B examples, and batch i is `order[i * B : (i + 1) * B]`.

    Returns:
        int32 [floor(n / B) · B], distinct indices into the training split.

    Raises:
        ValueError: `batch_size` is not in 1 … n.
    """
    if not 1 <= batch_size <= n:
        raise ValueError(f"batch_size={batch_size}: must be from 1 to the number of training examples ({n}); change it")
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, ORDER_STREAM, epoch])))
    return generator.permutation(n)[: n // batch_size * batch_size].astype(np.int32)
