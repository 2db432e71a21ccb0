"""The GAN's two halves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import GAN


@pytest.fixture(scope="module")
def made():
    x = jax.random.uniform(jax.random.key(0), (5, 2, 3))
    net = GAN(latent=2, widths=(4,))
    return net, net.init(jax.random.key(1), x, train=False), x


def test_halves_own_their_parameters_and_meet_in_the_call(made):
    net, variables, x = made
    assert set(variables["params"]) == {"generator", "discriminator"}
    result = net.apply(variables, x, train=False, rngs={"sample": jax.random.key(2)})
    fake = net.apply(variables, result.latent, (2, 3), train=False, method="generate")
    np.testing.assert_allclose(result.prediction, fake, rtol=1e-6)
    assert ((fake > 0) & (fake < 1)).all()
    for examples, verdict in zip((x, fake), result.auxiliary, strict=True):
        wanted = net.apply(variables, examples, train=False, method="discriminate")
        np.testing.assert_allclose(verdict, wanted, rtol=1e-5)
        assert verdict.shape == (5, 1)


def test_noise_is_drawn_from_its_stream(made):
    net, variables, x = made
    draws = [net.apply(variables, x, train=True, rngs={"sample": jax.random.key(s)}).latent for s in (0, 1)]
    assert (draws[0] != draws[1]).all()
    np.testing.assert_array_equal(net.apply(variables, x, train=False).latent, jnp.zeros((5, 2)))


def test_each_halfs_gradient_can_be_taken_alone(made):
    net, variables, x = made

    def fooled(params):
        result = net.apply({"params": params}, x, train=True, rngs={"sample": jax.random.key(0)})
        return jax.nn.softplus(-result.auxiliary[1]).mean()

    slopes = jax.grad(fooled)(variables["params"])
    assert all(any(leaf.any() for leaf in jax.tree.leaves(slopes[half])) for half in ("generator", "discriminator"))
