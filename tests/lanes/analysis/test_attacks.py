"""Attacks against closed forms: the direction of logistic regression, the ball and the bounds, linear nets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.attacks import Ball, direction, fgsm, pgd, towards
from losses import softmax_cross_entropy

RANDOM = np.random.default_rng(0)
W = jnp.asarray(RANDOM.normal(size=(5, 1)), jnp.float32)
X = jnp.asarray(RANDOM.normal(size=(7, 5)), jnp.float32)
Y = jnp.asarray(RANDOM.integers(0, 2, 7), jnp.float32)


def logistic(x):
    """A logistic regression's logit [B]."""
    return (x @ W)[:, 0] + 0.3


def log_loss(z, y):
    return jax.nn.softplus(z) - y * z


def deep(x):
    """A small net with 3 classes."""
    kernels = [np.random.default_rng(at).normal(size=shape) for at, shape in enumerate([(5, 8), (8, 3)])]
    hidden = jnp.tanh(x @ jnp.asarray(kernels[0], jnp.float32))
    return hidden @ jnp.asarray(kernels[1], jnp.float32)


def test_the_direction_is_the_analytic_gradient_of_logistic_regression():
    """∇ₓ L = (σ(z) - y) w."""
    expected = np.sign(np.outer(np.asarray(jax.nn.sigmoid(logistic(X)) - Y), np.asarray(W)[:, 0]))
    np.testing.assert_array_equal(direction(logistic, log_loss, X, Y), expected)
    np.testing.assert_array_equal(direction(logistic, towards(log_loss), X, Y), -expected)


def test_fgsm_on_logistic_regression_lowers_the_margin_by_epsilon_times_the_sum_of_weights():
    moved = fgsm(logistic, log_loss, X, Y, Ball(0.1))
    margin = (2 * Y - 1) * (logistic(X) - logistic(moved))
    np.testing.assert_allclose(margin, 0.1 * np.abs(W).sum(), rtol=1e-4)


@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_stays_in_ball_and_bounds_and_moves_the_loss(targeted):
    x = jnp.asarray(RANDOM.uniform(0, 1, (40, 5)), jnp.float32)
    y = jnp.asarray(RANDOM.integers(0, 3, 40))
    ball, loss = Ball(0.2, 0.0, 1.0), towards(softmax_cross_entropy) if targeted else softmax_cross_entropy
    moved = pgd(deep, loss, x, y, ball, step_size=0.05, key=jax.random.key(0), steps=15)
    assert np.abs(np.asarray(moved, np.float64) - np.asarray(x, np.float64)).max() <= 0.2 * (1 + 1e-6)
    assert moved.min() >= 0
    assert moved.max() <= 1
    before, after, one_step = (loss(deep(at), y) for at in (x, moved, fgsm(deep, loss, x, y, ball)))
    assert (after > before).mean() > 0.9
    assert (after - one_step).mean() > 0  # many steps find more than one


def test_pgd_of_a_linear_net_ends_at_the_corner_that_fgsm_finds():
    moved = pgd(logistic, log_loss, X, Y, Ball(0.3), step_size=0.1, key=jax.random.key(1), steps=10)
    np.testing.assert_allclose(moved, fgsm(logistic, log_loss, X, Y, Ball(0.3)), atol=1e-6)


def test_one_epsilon_for_each_feature_and_bounds_for_each():
    epsilon = jnp.array([0.0, 0.1, 0.2, 0.3, 0.4])
    low, high = X.min(axis=0), X.max(axis=0)
    moved = np.asarray(fgsm(logistic, log_loss, X, Y, Ball(epsilon, low, high)))
    assert (np.abs(moved - np.asarray(X)) <= np.asarray(epsilon) + 1e-6).all()
    np.testing.assert_array_equal(moved[:, 0], X[:, 0])
    assert ((moved >= np.asarray(low)) & (moved <= np.asarray(high))).all()


def test_a_loss_without_gradient_moves_nothing():
    x = jnp.ones((2, 3))
    still = fgsm(lambda x: jnp.sign(x).sum(axis=1), log_loss, x, jnp.ones(2), Ball(0.5))
    np.testing.assert_array_equal(still, x)


def test_epsilon_is_no_part_of_the_program():
    count = []

    def attacked(epsilon):
        count.append(1)
        return fgsm(logistic, log_loss, X, Y, Ball(epsilon))

    compiled = jax.jit(attacked)
    for epsilon in (0.0, 0.1, 0.7):
        compiled(epsilon)
    assert len(count) == 1
