"""Maps of codes and what is decoded along them, for linear decoders and against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from lanes.analysis.latent import decoded_plane, in_batches, latent_map, reconstruction_errors, traversals

RNG = np.random.default_rng(0)
G = RNG.normal(size=(3, 4)).astype(np.float32)


def decode(codes):
    return (codes @ G + 1).reshape(-1, 2, 2)


def test_a_linear_decoder_s_traversals_are_lines():
    code, values = np.array([0.5, -1.0, 2.0], np.float32), np.array([-2.0, 0.0, 1.0])
    found = traversals(decode, code, [2, 0], values)
    assert found.shape == (2, 3, 2, 2)
    for row, d in zip(found, (2, 0)):
        expected = np.asarray(decode(code[None])) + (values - code[d])[:, None, None] * G[d].reshape(2, 2)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
    own = traversals(decode, code, [2, 0], np.stack([values, 2 * values]))
    np.testing.assert_array_equal(own[0], found[0])
    with pytest.raises(ValueError, match="dimension 3 is not in a code of 3 numbers"):
        traversals(decode, code, [3], values)


def test_a_plane_has_the_first_number_along_its_columns():
    found = decoded_plane(lambda z: z, [1.0, 2.0, 3.0], [5.0, 6.0])
    assert found.tolist() == [[[1, 5], [2, 5], [3, 5]], [[1, 6], [2, 6], [3, 6]]]


def test_long_codes_are_mapped_to_their_principal_components():
    codes = RNG.normal(size=(50, 5)) * [1, 4, 1, 2, 1] + 3
    found, pca = latent_map(codes), PCA(2).fit(codes)
    expected = pca.transform(codes) * np.sign(pca.components_[[0, 1], np.abs(pca.components_).argmax(axis=1)])
    np.testing.assert_allclose(found.coordinates, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.shares, pca.explained_variance_ratio_, rtol=1e-5)
    assert found.projected


@pytest.mark.parametrize("numbers", [1, 2])
def test_short_codes_are_mapped_as_they_are(numbers):
    codes = RNG.normal(size=(7, numbers)).astype(np.float32)
    found = latent_map(codes)
    np.testing.assert_array_equal(found.coordinates, codes)
    assert not found.projected
    assert found.shares.sum() == pytest.approx(1)


def test_one_example_and_collapsed_codes_have_a_map_and_other_codes_none():
    assert latent_map(np.ones((1, 4))).coordinates.tolist() == [[0, 0]]
    assert latent_map(np.ones((6, 2))).shares.tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"codes of shape \[0, 2\] must be \[N, M\]"):
        latent_map(np.ones((0, 2)))
    with pytest.raises(ValueError, match="not finite"):
        latent_map([[np.nan, 1.0]])


def test_batches_are_padded_and_joined():
    x = np.arange(1300.0, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(in_batches(lambda x: 2 * x, x), 2 * x)
    np.testing.assert_allclose(reconstruction_errors(jnp.zeros((2, 2, 1)), np.full((2, 2, 1), 3.0)), [3, 3])
    with pytest.raises(ValueError, match="there are no examples"):
        in_batches(lambda x: x, x[:0])
