"""Saliency against linear models, and the completeness of integrated gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.analysis.saliency import gradients, integrated_gradients

W = np.asarray(jax.random.normal(jax.random.key(0), (6, 3)))
X = np.asarray(jax.random.normal(jax.random.key(1), (5, 2, 3)))
TARGETS = np.array([0, 2, 1, 1, 0])


def linear(x):
    return x.reshape(x.shape[0], -1) @ W + 4


def net(x):
    hidden = jnp.tanh(x.reshape(x.shape[0], -1) @ jax.random.normal(jax.random.key(2), (6, 8)))
    return jax.nn.relu(hidden) @ jax.random.normal(jax.random.key(3), (8, 3))


def test_a_linear_model_s_gradient_is_its_weights():
    np.testing.assert_allclose(gradients(linear, X, TARGETS), W.T[TARGETS].reshape(X.shape), rtol=1e-6)


def test_a_linear_model_s_contributions_are_weights_times_differences():
    baseline = np.full((2, 3), 0.5, np.float32)
    found = integrated_gradients(linear, X, TARGETS, baseline, steps=1)
    np.testing.assert_allclose(found, W.T[TARGETS].reshape(X.shape) * (X - baseline), rtol=1e-5, atol=1e-6)


def test_contributions_sum_to_the_difference_of_scores():
    difference = np.take_along_axis(np.asarray(net(X) - net(0 * X)), TARGETS[:, None], axis=1)[:, 0]
    found = integrated_gradients(net, X, TARGETS, 0.0).reshape(5, -1).sum(axis=1)
    np.testing.assert_allclose(found, difference, atol=0.02 * np.abs(difference).max())


def test_a_quadrature_without_nodes_is_refused():
    with pytest.raises(ValueError, match="steps=0 must be 1 or more"):
        integrated_gradients(net, X, TARGETS, 0.0, steps=0)
