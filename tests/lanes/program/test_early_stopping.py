"""Early stopping of lanes in a pack makes the same decisions as a plain Python loop over one run."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lanes.program import early_stopping

NAN, INF = math.nan, math.inf

# Eight runs of ten epochs: steady, noisy, flat, NaN at the start, in the middle or throughout, infinite, small gains.
CURVES = np.array(
    [
        [10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
        [5, 4, 6, 3, 7, 7, 7, 2, 1, 0],
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        [NAN, NAN, 3, 2, 2, 2, 2, 1, 1, 1],
        [3, NAN, 2, NAN, NAN, NAN, 1, NAN, 0, NAN],
        [NAN] * 10,
        [INF, INF, 4, INF, 3, INF, INF, INF, 2, 1],
        [1, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.5],
    ],
    np.float32,
)
PATIENCE = [3, 3, 2, 4, 2, 5, 3, 4]
MIN_DELTA = [0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.25, 0.025]


def plain_loop(curve, patience, min_delta):
    """(epoch of the last improvement, epoch at which the run stops or None) by the plain rule."""
    marked, marked_epoch = INF, 0
    for epoch, value in enumerate(curve, start=1):
        if np.float32(value) < np.float32(marked) - np.float32(min_delta):
            marked, marked_epoch = value, epoch
        if epoch - marked_epoch >= patience:
            return marked_epoch, epoch
    return marked_epoch, None


@jax.jit
def pack(curves, patience, min_delta):
    def run(curve, patience, min_delta):
        def epoch(state, item):
            state = early_stopping.update(state, *item, patience, min_delta)
            return state, state.stopped

        numbers = jnp.arange(1, curve.shape[0] + 1, dtype=jnp.int32)
        return jax.lax.scan(epoch, early_stopping.init(), (curve, numbers))

    return jax.vmap(run)(curves, patience, min_delta)


def test_a_pack_of_eight_lanes_stops_like_eight_plain_loops():
    state, stopped = pack(CURVES, jnp.array(PATIENCE), jnp.array(MIN_DELTA))
    for lane, (curve, patience, min_delta) in enumerate(zip(CURVES, PATIENCE, MIN_DELTA)):
        marked_epoch, stop = plain_loop(curve, patience, min_delta)
        assert state.marked_epoch[lane] == marked_epoch
        assert bool(state.stopped[lane]) == (stop is not None)
        if stop is not None:
            np.testing.assert_array_equal(stopped[lane], np.arange(1, 11) >= stop)


def test_known_decisions():
    stops = [plain_loop(*run)[1] for run in zip(CURVES, PATIENCE, MIN_DELTA)]
    assert stops == [None, 7, 3, None, 5, 5, 8, None]


def test_huge_patience_never_stops():
    flat = np.ones((8, 10), np.float32)
    state, _ = pack(flat, jnp.full(8, early_stopping.NEVER), jnp.zeros(8))
    assert not np.any(state.stopped)


def test_patience_is_counted_in_epochs_when_evaluations_are_rarer():
    state = early_stopping.init()
    for epoch in (3, 6, 9):
        state = early_stopping.update(state, 1.0, epoch, patience=6)
        assert bool(state.stopped) == (epoch == 9)


def test_a_stopped_run_stays_stopped():
    state = early_stopping.update(early_stopping.init(), NAN, 1, patience=1)
    assert bool(state.stopped)
    later = early_stopping.update(state, -1.0, 2, patience=1)
    assert bool(later.stopped)
    assert later.marked_epoch == 0
