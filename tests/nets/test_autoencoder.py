"""Autoencoders and the VAE: tied weights, noise, shapes, and encoders that fit an MLP."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nets import MLP, VAE, Autoencoder, bits, hamming_distances


def test_parameters(parameter_count):
    kernels, biases = 784 * 128 + 128 * 32, 128 + 32 + 128 + 784
    assert parameter_count(Autoencoder(widths=(128,), code=32), (784,)) == 2 * kernels + biases
    assert parameter_count(Autoencoder(widths=(128,), code=32, tied=True), (784,)) == kernels + biases
    assert parameter_count(VAE(widths=(128,), code=2), (784,)) == 784 * 128 + 128 + 516 + 384 + 128 * 784 + 784


def test_tied_weights_share_one_kernel():
    x = jax.random.normal(jax.random.key(0), (3, 2, 3))
    net = Autoencoder(widths=(4,), code=2, tied=True)
    variables = net.init(jax.random.key(1), x, train=False)
    kernels = [path for path, _ in jax.tree_util.tree_leaves_with_path(variables) if path[-1].key == "kernel"]
    assert len(kernels) == 2
    params = variables["params"]
    first, second = (np.asarray(params["encoder"][f"hidden_{i}"]["dense"]["kernel"]) for i in range(2))
    code = np.maximum(np.asarray(x).reshape(3, 6) @ first, 0) @ second
    expected = np.maximum(code @ second.T, 0) @ first.T
    result = net.apply(variables, x, train=False)
    np.testing.assert_allclose(result.latent, code, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.prediction, expected.reshape(3, 2, 3), rtol=1e-4, atol=1e-6)


def test_encoder_fits_an_mlp():
    x = jnp.ones((2, 6))
    net = Autoencoder(widths=(4,), code=3, code_unit="activation")
    variables = net.init(jax.random.key(0), x, train=False)
    mlp = MLP(widths=(4, 3), outputs=2)
    fresh = mlp.init(jax.random.key(1), x, train=False)["params"]
    pretrained = {**fresh, **variables["params"]["encoder"]}
    assert jax.tree.structure(pretrained) == jax.tree.structure(fresh)
    _, sown = mlp.apply({"params": pretrained}, x, train=False, mutable=["intermediates"])
    code = net.apply(variables, x, method="encode")
    np.testing.assert_array_equal(sown["intermediates"]["hidden_1"]["hidden"][0], code)


@pytest.mark.parametrize(
    "shape", [(5, 6, 2), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((7, 1), (4, 5, 3, 1)))]
)
def test_convolutional_forms_reconstruct_any_shape(shape):
    x = jax.random.normal(jax.random.key(0), (2, *shape))
    for net in (Autoencoder(widths=(2, 3), code=4, convolutional=True), VAE(widths=(2,), code=4, convolutional=True)):
        result = jax.jit(lambda x, net=net: net.init_with_output(jax.random.key(1), x, train=False)[0])(x)
        assert result.prediction.shape == x.shape
        assert result.latent.shape == (2, 4)


def test_code_noise_acts_before_the_sigmoid_and_only_in_training():
    x = jax.random.normal(jax.random.key(0), (50, 6))
    net = Autoencoder(widths=(), code=8, code_unit="sigmoid", code_noise=50.0)
    variables = net.init(jax.random.key(1), x, train=False)
    noiseless = net.apply(variables, x, train=False).latent
    noisy = net.apply(variables, x, train=True, rngs={"sample": jax.random.key(2)}).latent
    assert ((noiseless > 0) & (noiseless < 1)).all()
    assert (jnp.abs(noisy - 0.5) > 0.49).mean() > 0.8
    np.testing.assert_array_equal(noiseless, net.apply(variables, x, train=False).latent)


def test_hamming_distances_count_bits():
    codes = jnp.array([[0.1, 0.9, 0.8], [0.2, 0.3, 0.9]])
    stored = jnp.array([[False, True, True], [True, False, False]])
    np.testing.assert_array_equal(hamming_distances(bits(codes), stored), [[0, 3], [1, 2]])


def test_vae_samples_have_its_mean_and_variance():
    x = jnp.tile(jax.random.normal(jax.random.key(0), (1, 6)), (20_000, 1))
    net = VAE(widths=(4,), code=2)
    variables = net.init(jax.random.key(1), x[:1], train=False)
    result = net.apply(variables, x, train=False, rngs={"sample": jax.random.key(2)})
    np.testing.assert_allclose(result.latent.mean(axis=0), result.mean[0], atol=0.05)
    np.testing.assert_allclose(result.latent.var(axis=0), jnp.exp(result.log_variance[0]), rtol=0.05)
    noiseless = net.apply(variables, x[:2], train=False)
    np.testing.assert_array_equal(noiseless.latent, noiseless.mean)
    mean, log_variance = net.apply(variables, x[:2], method="encode")
    np.testing.assert_array_equal(mean, noiseless.mean)
    np.testing.assert_array_equal(log_variance, noiseless.log_variance)
    decoded = net.apply(variables, mean, (6,), method="decode")
    np.testing.assert_allclose(decoded, noiseless.prediction, rtol=1e-6)
