"""Parts of kernels: what an initializer draws for smaller ones, whatever the sizes."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nets import INITIALIZERS, Constant, FanInUniform, Normal, Uniform
from nets.initializers_of_part import draws_parts, part

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
