"""Keys that stand for bits drawn before: what is drawn from them is what the key itself gives, and nothing else is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lanes.program import given_bits
from nets.initializers_by_shape import orthogonal

KEY = jax.random.key(7)


@pytest.mark.parametrize(
    "draw",
    [jax.random.uniform, jax.random.normal, jax.random.truncated_normal, orthogonal, jax.nn.initializers.he_normal()],
)
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 2, 3, 4)], ids=str)
def test_draws_are_those_of_the_key_itself(draw, shape):
    bounds = (-2.0, 2.0) if draw is jax.random.truncated_normal else ()

    def drawn(key):
        return jax.jit(lambda key: draw(key, *bounds, shape=shape))(key)

    np.testing.assert_array_equal(drawn(given_bits.drawn(KEY, shape)), drawn(KEY))


def test_several_functions_draw_from_the_same_bits_in_one_program():
    def both(key):
        given = given_bits.drawn(key, (64, 10))
        return jax.random.uniform(given, (64, 10)), jax.random.normal(given, (640,))

    text = jax.jit(both).lower(KEY).as_text()
    apart = (
        jax.jit(lambda key: (jax.random.uniform(key, (64, 10)), jax.random.normal(key, (640,)))).lower(KEY).as_text()
    )
    assert text.count("call @threefry2x32") + text.count("call @_threefry2x32") <= 1
    assert len(text) < 0.8 * len(apart)
    uniform, normal = jax.jit(both)(KEY)
    np.testing.assert_array_equal(uniform, jax.random.uniform(KEY, (64, 10)))
    np.testing.assert_allclose(normal, jax.random.normal(KEY, (640,)), atol=3e-7)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda key: jax.random.normal(key, (4, 3)), "a key of 15 numbers"),
        (lambda key: jax.random.bits(key, (5, 3), jnp.uint8), "8 bits of shape"),
        (jax.random.split, "cannot be split or folded"),
        (lambda key: jax.random.fold_in(key, 1), "cannot be split or folded"),
    ],
)
def test_everything_else_is_refused(use, said):
    with pytest.raises(NotImplementedError, match=said):
        use(given_bits.drawn(KEY, (5, 3)))
