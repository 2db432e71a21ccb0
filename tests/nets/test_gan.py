"""The GAN's generator and discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import GAN


@pytest.fixture(scope="module")
def gan():
    x = jax.random.uniform(jax.random.key(0), (5, 2, 3))
    net = GAN(latent=2, widths=(4,))
    return net, net.init(jax.random.key(1), x, train=False), x


def test_call_combines_generator_and_discriminator(gan):
    net, variables, x = gan
    assert set(variables["params"]) == {"generator", "discriminator"}
    result = net.apply(variables, x, train=False, rngs={"sample": jax.random.key(2)})
    fake = net.apply(variables, result.latent, (2, 3), train=False, method="generate")
    np.testing.assert_allclose(result.prediction, fake, rtol=1e-6)
    assert ((fake > 0) & (fake < 1)).all()
    for examples, verdict in zip((x, fake), result.auxiliary, strict=True):
        expected = net.apply(variables, examples, train=False, method="discriminate")
        np.testing.assert_allclose(verdict, expected, rtol=1e-5)
        assert verdict.shape == (5, 1)


def test_noise_is_drawn_from_its_stream(gan):
    net, variables, x = gan
    draws = [net.apply(variables, x, train=True, rngs={"sample": jax.random.key(s)}).latent for s in (0, 1)]
    assert (draws[0] != draws[1]).all()
    np.testing.assert_array_equal(net.apply(variables, x, train=False).latent, jnp.zeros((5, 2)))


def test_the_generators_loss_has_a_gradient_for_both_parts(gan):
    net, variables, x = gan

    def generator_loss(params):
        result = net.apply({"params": params}, x, train=True, rngs={"sample": jax.random.key(0)})
        return jax.nn.softplus(-result.auxiliary[1]).mean()

    slopes = jax.grad(generator_loss)(variables["params"])
    assert all(any(leaf.any() for leaf in jax.tree.leaves(slopes[part])) for part in ("generator", "discriminator"))
