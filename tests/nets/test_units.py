"""Linear and threshold units."""

import jax
import jax.numpy as jnp
import numpy as np

from nets import Linear


def test_linear_units_and_their_threshold():
    x = jax.random.normal(jax.random.key(0), (6, 2, 3))
    net = Linear(outputs=4, bias=0.3)
    variables = net.init(jax.random.key(1), x, train=False)
    z = np.asarray(x).reshape(6, 6) @ np.asarray(variables["params"]["output"]["kernel"]) + 0.3
    np.testing.assert_allclose(net.apply(variables, x, train=False), z, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.clone(threshold=True).apply(variables, x, train=False), z > 0)


def test_the_perceptron_has_no_gradient():
    x = jnp.ones((2, 3))
    net = Linear(threshold=True, outputs=1)
    variables = net.init(jax.random.key(0), x, train=False)
    slopes = jax.grad(lambda v: net.apply(v, x, train=True).sum())(variables)
    assert not any(leaf.any() for leaf in jax.tree.leaves(slopes))
