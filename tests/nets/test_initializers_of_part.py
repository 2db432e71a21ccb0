"""Parts of kernels: what an initializer draws for smaller ones, whatever the sizes."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax.extend.core import jaxprs_in_params

from nets import INITIALIZERS, Constant, FanInUniform, Normal, Uniform
from nets.initializers_of_part import chosen, draws_parts, part

KNOWN = {
    **{name: one for name, one in INITIALIZERS.items() if draws_parts(one)},
    **{
        "constant 0.7": Constant(0.7),
        "normal 3": Normal(3.0),
        "uniform 2": Uniform(2.0),
        "factor 2": FanInUniform(2.0),
    },
}
NORMAL = 3e-7  # XLA contracts the two factors of a normal weight if both are constants


@functools.cache
def drawn(name: str, shape: tuple[int, int]):
    """A program that draws parts of a kernel of this shape."""
    return jax.jit(lambda key, rows, columns: part(KNOWN[name], key, shape, (rows, columns)))


def test_initializers_that_draw_a_matrix_are_not_known():
    assert set(INITIALIZERS) - set(KNOWN) == {"orthogonal", "sparse", "identity_rnn", "lsuv", "zero_residual"}

    class Own(Uniform):
        pass

    assert not draws_parts(Own())
    assert not draws_parts(jax.random.normal)


@pytest.mark.parametrize("name", KNOWN)
@settings(deadline=None, max_examples=10)
@given(st.integers(1, 23), st.integers(1, 31), st.integers(0, 2**31))
@example(23, 31, 0)
@example(1, 1, 1)
def test_a_part_is_what_is_drawn_for_its_sizes(name, rows, columns, seed):
    key = jax.random.key(seed)
    expected = KNOWN[name](key, (rows, columns))
    rtol = NORMAL if "normal" in name else 0
    np.testing.assert_allclose(drawn(name, (23, 31))(key, rows, columns)[:rows, :columns], expected, rtol=rtol)


@pytest.mark.parametrize("name", KNOWN)
def test_a_part_does_not_depend_on_the_larger_kernel(name):
    key = jax.random.key(5)
    one, other = (drawn(name, shape)(key, 7, 5)[:7, :5] for shape in ((23, 31), (7, 9)))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", [(7, 5), (3, 2, 4, 6)])
def test_of_several_initializers_the_chosen_one_draws_what_it_draws_alone(shape):
    kinds = list(KNOWN.values())
    of_index = jax.jit(lambda index, key: chosen(kinds, index, key, shape))
    for at, kind in enumerate(kinds):
        alone = jax.jit(lambda key, kind=kind: kind(key, shape))
        np.testing.assert_array_equal(of_index(at, jax.random.key(at)), alone(jax.random.key(at)))
    np.testing.assert_array_equal(of_index(len(kinds), jax.random.key(0)), np.zeros(shape))


def test_numbers_are_drawn_once_for_all_initializers_that_draw_such():
    kinds = list(KNOWN.values())

    def words(jaxpr) -> int:
        inner = (one for equation in jaxpr.eqns for one in jaxprs_in_params(equation.params))
        own = sum("random_bits" in equation.primitive.name for equation in jaxpr.eqns)
        return own + sum(words(getattr(one, "jaxpr", one)) for one in inner)

    drawn = jax.make_jaxpr(lambda index, key: chosen(kinds, index, key, (7, 5)))(0, jax.random.key(0))
    assert words(drawn.jaxpr) == 2  # uniform and normal
